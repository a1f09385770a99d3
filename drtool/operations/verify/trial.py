"""Level ``restored``: a trial restore into a sandbox, compared record for record."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from drtool.errors import DamagedObjectError
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents, Problem
from drtool.operations.overlaying import is_overlay, replay_overlay
from drtool.operations.reporting import Reporter
from drtool.operations.restore.loading import load
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.sources.base import Source
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.reading import WHOLE, Consistency, Proof, StreamInfo, View
from drtool.sources.restoring import RestoreItem, RestorePlan, Target
from drtool.sources.throwaway import throwaway


@dataclass(frozen=True, slots=True)
class Tolerated:
    """The largest error of a stream that came back equal within its tolerance, as its source puts it."""

    stream: str
    largest_error: str


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How many records were compared (what completes a record counts as part of it), what was not equal, and what was
    equal within a tolerance only."""

    records: int
    problems: tuple[Problem, ...]
    tolerated: tuple[Tolerated, ...] = ()


@dataclass(slots=True)
class _Outcome:
    """What comparing one stream showed."""

    records: int = 0
    problems: list[Problem] = field(default_factory=list)
    largest_error: str = ""


def try_restore(
    contents: Contents, keyring: Keyring, origin: SourceEntry, source: Source, budget: Budget, reporter: Reporter
) -> TrialResult:
    """Restore everything of one source into a sandbox and hold it against the snapshot.

    Each stream must pass its proof, its definition must be equal, and where the system has a digest of its own, that
    must be the one computed over the records; a copy that is equal must do nothing worse than the original did (find
    less in a search, say). Of a stream that an overlay was replayed over only the digest is shown, and its definition.
    ``MissingToolError`` where no sandbox can be had.
    """
    streams = [entry for entry in contents.streams() if entry.source == origin.name]
    entries = {entry.name: entry for entry in streams if not is_overlay(entry)}
    items = tuple(
        RestoreItem(contents.info(entry), entry.name, entry.records, entry.bytes, Consistency(entry.consistency))
        for entry in entries.values()
    )
    plan = RestorePlan(items, marker=contents.manifest.snapshot)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(throwaway(Path(tempfile.gettempdir()), "drtool-sandbox-"))
        sandbox = stack.enter_context(source.sandbox(origin.version, directory))
        target = source.target(sandbox.uri)
        stack.callback(target.close)
        target.inspect(plan)
        target.begin(plan)
        load(contents, entries, items, target, budget.readers, reporter)
        replay_overlay(contents, source, target, plan)
        target.finish(plan, reporter.note)
        view = target.read_back(plan)
        stack.callback(view.close)
        result = _Comparison(contents, keyring, source, target, view, plan, entries).run(budget.readers, reporter)
        if result.problems:
            return result
        view.settle()
        worse = source.regressions(origin.point, view.point)
        return replace(
            result, problems=tuple(Problem("regression", "", "", f"{origin.name}: {text}") for text in worse)
        )


class _Comparison:
    def __init__(
        self,
        contents: Contents,
        keyring: Keyring,
        source: Source,
        target: Target,
        view: View,
        plan: RestorePlan,
        entries: dict[str, StreamEntry],
    ) -> None:
        self._contents = contents
        self._keyring = keyring
        self._source = source
        self._view = view
        self._plan = plan
        self._entries = entries
        self._digests = target.digests(plan)
        self._stop = threading.Event()

    def run(self, readers: int, reporter: Reporter) -> TrialResult:
        restored = {stream.name: stream for stream in self._view.streams()}
        task = "Comparing"
        reporter.start(task, sum(item.bytes for item in self._plan.items))

        def compare(item: RestoreItem) -> _Outcome:
            return self._compare(item, restored.get(item.stream.name), lambda size: reporter.advance(task, size))

        items = sorted(self._plan.items, key=lambda item: -item.bytes)
        try:
            with ThreadPoolExecutor(readers, thread_name_prefix="compare") as pool:
                try:
                    outcomes = list(pool.map(compare, items))
                finally:  # before the pool is left, which waits for what has begun
                    self._stop.set()
        finally:
            reporter.finish(task)
        problems = [problem for outcome in outcomes for problem in outcome.problems]
        extra = restored.keys() - {item.stream.name for item in self._plan.items}
        problems += [
            self._problem("extra-stream", name, "the sandbox holds it, the snapshot does not") for name in extra
        ]
        compared = list(zip(items, outcomes, strict=True))
        return TrialResult(
            sum(outcome.records for item, outcome in compared if not item.stream.beside),
            tuple(problems),
            tuple(
                Tolerated(self._stream(item.stream.name), outcome.largest_error)
                for item, outcome in compared
                if outcome.largest_error
            ),
        )

    def _compare(self, item: RestoreItem, restored: StreamInfo | None, advance: Callable[[int], None]) -> _Outcome:
        name = item.stream.name
        if restored is None:
            return _Outcome(problems=[self._problem("missing-stream", name, "was not restored")])
        differences = self._source.differences(item.stream, restored)
        problems = [self._problem("definition-differs", name, text) for text in differences]
        if not item.stream.has_records or item.consistency is Consistency.OVERLAY:
            return _Outcome(problems=problems)  # what an overlay was replayed over is nowhere else to be compared with
        chunks = self._restored(restored, advance)
        try:
            if item.stream.proof is Proof.IDENTICAL:
                outcome = self._compare_ids(name, restored, chunks)
            else:
                outcome = self._compare_records(item.stream, chunks)
        except DamagedObjectError as error:  # a server or store that fails says nothing of the snapshot
            return _Outcome(problems=[*problems, Problem.of(error, stream=self._stream(name))])
        outcome.problems = [*problems, *outcome.problems]
        return outcome

    def _restored(self, stream: StreamInfo, advance: Callable[[int], None]) -> Iterator[Chunk]:
        """The chunks of a restored stream, until nobody waits for them any more."""
        entry = self._entries[stream.name]
        rule = CutRule(self._keyring.cut_key, entry.threshold, entry.fine)
        for chunk in self._view.chunks(stream, WHOLE, rule):
            if self._stop.is_set():
                return
            yield chunk
            advance(len(chunk.data))

    def _compare_ids(self, name: str, restored: StreamInfo, chunks: Iterator[Chunk]) -> _Outcome:
        """Proof ``identical``: the same chunks."""
        entry = self._entries[name]
        digest = self._source.digest(restored.definition)
        expected = self._contents.refs(entry)
        records = 0
        for chunk in chunks:
            ref = next(expected, None)
            if ref is None or chunk_id(self._keyring, ChunkKind.DATA, chunk.data) != ref.id:
                return _Outcome(records, [self._problem("records-differ", name, f"differs after record {records}")])
            if digest is not None:
                digest.update(chunk.data)
            records += chunk.records
        if records != entry.records:
            text = f"holds {records} of {entry.records} records"
            return _Outcome(records, [self._problem("records-differ", name, text)])
        computed = digest.hexdigest() if digest is not None else None
        return _Outcome(records, list(self._digest_problems(name, computed)))

    def _compare_records(self, stream: StreamInfo, chunks: Iterator[Chunk]) -> _Outcome:
        """The weaker proofs: record by record, as the source compares them."""
        entry = self._entries[stream.name]
        found = self._source.compare(stream, self._contents.records(entry), (chunk.data for chunk in chunks))
        problems = [self._problem("records-differ", stream.name, text) for text in found.differences]
        if not problems and found.records not in (0, entry.records):
            text = f"{found.records} of {entry.records} records were compared"
            problems = [self._problem("records-differ", stream.name, text)]
        # Whoever compares bytes counts no records, but all were compared then.
        records = found.records or (0 if problems else entry.records)
        return _Outcome(records, problems, "" if problems else found.largest_error)

    def _digest_problems(self, name: str, computed: str | None) -> Iterator[Problem]:
        told = self._digests.get(name)
        if computed is not None and told != computed:
            yield self._problem(
                "digest-differs", name, f"the server's digest is {told or 'absent'}, that of the records {computed}"
            )

    def _problem(self, kind: str, name: str, message: str) -> Problem:
        return Problem(kind, "", self._stream(name), f"{name}: {message}")

    def _stream(self, name: str) -> str:
        return f"{self._entries[name].source}/{name}" if name in self._entries else name

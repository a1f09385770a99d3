"""Before something is replaced: what is there is backed up, checked, and kept until somebody releases it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drtool.errors import NoSuchSnapshotError, RefusedError, SourceError, VerificationFailedError
from drtool.operations.backup.backup import back_up
from drtool.operations.budget import Budget
from drtool.operations.joblock import job_lock
from drtool.operations.picking import held_by
from drtool.operations.reporting import Reporter
from drtool.operations.restore.prospects import Prospect
from drtool.operations.restore.unfinished import Unfinished
from drtool.operations.retention.protecting import holding, protect
from drtool.operations.safekeeping import TAG, job_of_safety, safety_job
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verifier
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.levels import Level
from drtool.repository.manifests import SourceEntry
from drtool.repository.pins import PinKind
from drtool.repository.repository import Repository
from drtool.sources.base import Source
from drtool.sources.reading import StreamInfo


@dataclass(frozen=True, slots=True)
class Undo:
    """A restore in place that brings back what was there: of these sources of a snapshot, of what fits `only`."""

    snapshot: Snapshot
    sources: tuple[str, ...]
    only: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Safety:
    """A safety snapshot and the level that it was verified to; None where nothing was there to be saved.

    ``undoes`` lead to what was there before, also where earlier restores in place did not end. Where they do not lead
    to what this one found, ``attempt`` does.
    """

    snapshot: Snapshot | None
    level: Level
    undoes: tuple[Undo, ...]
    attempt: tuple[Undo, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands to what replaces it: ``stays`` is there and not in the snapshot, and is left alone;
    ``returns`` are names of what is restored and is not there, which an undo would leave. ``is_bare``: nothing that is
    there would be replaced, so that nothing has to be saved."""

    source: Source
    prospect: Prospect
    stays: tuple[StreamInfo, ...]
    returns: tuple[str, ...]
    is_bare: bool

    @property
    def replaced(self) -> list[str]:
        """The names of all that is replaced, or comes into being."""
        return [*(item.name for item in self.prospect.streams), *self.prospect.made.values()]


def compare_with(repository: Repository, prospect: Prospect, source: Source) -> Standing:
    """Of a source that is to be restored in place. Reads its catalogue only.

    One that cannot be read is bare where its target found nothing in the way: what is lost cannot be saved.
    ``RefusedError`` where something would be replaced that the source, as it is configured, does not read.
    """
    held = {*held_by(repository, prospect.snapshot).get(source.name, ()), *prospect.made.values()}
    wanted = [item.name for item in prospect.streams]
    try:
        there = _there(source)
    except SourceError:
        if prospect.replaced:
            raise
        return _bare(source, prospect, (), wanted)
    names = {stream.name for stream in there}
    swept = prospect.inspection.swept if prospect.plan.replace else ()
    stays = tuple(
        stream
        for stream in there
        if stream.name not in held and not any(source.matches(stream.name, pattern) for pattern in swept)
    )
    if not prospect.replaced and names.isdisjoint([*wanted, *prospect.made.values()]):
        return _bare(source, prospect, stays, wanted)
    returns = tuple(name for name in wanted if name not in names)
    _refuse_unread(source, prospect, returns)
    return Standing(source, prospect, stays, returns, is_bare=False)


def _refuse_unread(source: Source, prospect: Prospect, returns: Sequence[str]) -> None:
    """What the source says is not there must not be found by the target: no safety snapshot would hold it."""
    there = [one for one in prospect.replaced if one.startswith(tuple(f"{name}: " for name in returns))]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise RefusedError(
            f"{source.name} is configured so that its backups leave out what this would replace ({there[0]}{more}): it"
            " cannot be saved first",
            hint=f"Let sources.{source.name} take it in, leave it out of the restore (--only), or restore beside it.",
        )


def _there(source: Source) -> list[StreamInfo]:
    with contextlib.closing(source.prepare(None)) as prepared, contextlib.closing(prepared.freeze()) as view:
        return [stream for stream in view.streams() if not stream.beside]


def _bare(source: Source, prospect: Prospect, stays: tuple[StreamInfo, ...], wanted: Sequence[str]) -> Standing:
    """Should something come into being there after all, the restore is refused."""
    kept = replace(prospect, plan=replace(prospect.plan, replace=False))
    return Standing(source, kept, stays, tuple(wanted), is_bare=True)


class Replacing:
    """One restore in place of a snapshot. `directory` is where this host keeps its locks on the repository's jobs,
    `jobs` are all that read what is replaced; `only` was typed.

    `wait` (seconds) returns True where waiting is to end.
    """

    def __init__(
        self,
        repository: Repository,
        snapshot: Snapshot,
        directory: Path,
        jobs: Collection[str],
        only: Sequence[str],
        budget: Budget,
        reporter: Reporter,
        wait: Callable[[float], bool],
    ) -> None:
        self._repository, self._snapshot, self._directory = repository, snapshot, directory
        self._jobs, self._only = jobs, only
        self._budget, self._reporter, self._wait = budget, reporter, wait
        self._unfinished = Unfinished(directory / "in-place")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the jobs' locks: no backup of what is half replaced is taken on this host."""
        job = job_of_safety(self._snapshot.manifest.job)
        with contextlib.ExitStack() as stack:
            for name in sorted({*self._jobs, job, safety_job(job)}):
                stack.enter_context(job_lock(self._directory, name))
            yield

    def save(self, standings: Sequence[Standing]) -> Safety:
        """Take a safety snapshot of those that are not bare, read all of it back, and protect it and the snapshot to be
        restored.

        ``VerificationFailedError`` where it is not sound, ``PartialError`` where not all of it could be read.
        """
        full = [standing.source for standing in standings if not standing.is_bare]
        safety = self._taken(full) if full else None
        level = self._verify(safety) if safety is not None else Level.NONE
        there = {snapshot.id: snapshot for snapshot in read_catalogue(self._repository).snapshots}
        before: dict[str, list[Source]] = {}
        for standing in standings:
            earlier = self._unfinished.earliest(standing.source.name, standing.replaced, there)
            if earlier == self._snapshot.id:  # this is the undo: what undoes it, in turn, is what is there now
                earlier = ""
            if earlier or (safety is not None and not standing.is_bare):
                before.setdefault(earlier or (safety.id if safety is not None else ""), []).append(standing.source)
        undoes = self._undoes((there[id_], sources) for id_, sources in before.items())
        is_new = safety is None or list(before) == [safety.id]
        return Safety(safety, level, undoes, () if is_new or safety is None else self._undoes([(safety, full)]))

    def begin(self, safety: Safety, standings: Sequence[Standing]) -> None:
        """From here on, until `end`, this host remembers what was there before."""
        if safety.snapshot is None:
            return
        for standing in standings:
            if not standing.is_bare:
                self._unfinished.note(standing.source.name, standing.replaced, safety.snapshot.id)

    def end(self, standings: Sequence[Standing]) -> None:
        """All is as the snapshot has it."""
        for standing in standings:
            self._unfinished.forget(standing.source.name, standing.replaced)

    def _taken(self, sources: Sequence[Source]) -> Snapshot:
        job = safety_job(self._snapshot.manifest.job)
        taken = back_up(self._repository, job, sources, self._budget, self._reporter, tags=(TAG,))
        safety = next((one for one in read_catalogue(self._repository).snapshots if one.id == taken.snapshot), None)
        if safety is None:
            raise NoSuchSnapshotError(f"safety snapshot {taken.snapshot} is gone already: nothing was replaced")
        self._protect(safety)
        return safety

    def _undoes(self, pairs: Iterable[tuple[Snapshot, Sequence[Source]]]) -> tuple[Undo, ...]:
        """Of what was typed, only what fits something there: a restore refuses the rest."""
        named = {origin.name for origin in self._snapshot.manifest.sources}
        found = []
        for snapshot, sources in pairs:
            held = held_by(self._repository, snapshot)
            only = tuple(text for text in self._only if _fits(text, named, sources, held))
            if only or not self._only:
                found.append(Undo(snapshot, tuple(source.name for source in sources), only))
        return tuple(found)

    def _verify(self, safety: Snapshot) -> Level:
        level = Level.INTACT if self._repository.verifier is None else Level.READABLE
        with contextlib.closing(Verifier(self._repository, self._budget, self._reporter, _no_trial)) as verifier:
            verification = verifier.verify(safety, level, Sample())
        if not verification.ok:
            raise VerificationFailedError(
                f"safety snapshot {safety.id} is not {level.label}, so nothing was replaced:"
                f" {verification.problems[0].message}",
                hint="drtool verify shows all that is wrong.",
            )
        return level

    def _protect(self, safety: Snapshot) -> None:
        """Whoever wants to undo needs the one, and whoever begins anew the other."""
        of, by = self._snapshot, safety.id
        protect(
            self._repository,
            safety,
            f"what was there before {of.id} was restored in place",
            None,
            self._wait,
            kind=PinKind.SAFETY,
        )
        if not any(pin.hash == of.hash and pin.kind == PinKind.RESTORE for pin in holding(self._repository)[0]):
            protect(
                self._repository,
                of,
                f"was restored in place; {by} holds what was there before",
                None,
                self._wait,
                kind=PinKind.RESTORE,
            )


def _no_trial(origin: SourceEntry) -> Source:
    raise AssertionError(origin)  # no level that needs one is asked for


def _fits(text: str, named: Collection[str], sources: Sequence[Source], held: Mapping[str, Sequence[str]]) -> bool:
    """Does ``--only`` with this text fit a stream that is held of these sources?"""
    name, separator, pattern = text.partition(":")
    if separator and pattern and name in named:
        sources, text = [source for source in sources if source.name == name], pattern
    return any(source.matches(stream, text) for source in sources for stream in held.get(source.name, ()))

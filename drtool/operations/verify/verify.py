"""Verifying a snapshot to one of four levels, and keeping signed evidence of it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from drtool import __version__
from drtool.errors import DamagedObjectError, IncompleteRestoreError, RepositoryError, UsageError, WrongKeyError
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents, Listing, Problem, list_needed
from drtool.operations.reporting import Reporter
from drtool.operations.verify.distrusting import distrust
from drtool.operations.verify.inspecting import Sample, inspect_packs, streams_with
from drtool.operations.verify.surroundings import Surroundings
from drtool.operations.verify.trial import Tolerated, try_restore
from drtool.repository import evidence
from drtool.repository.chain import Snapshot
from drtool.repository.evidence import Evidence
from drtool.repository.levels import Level
from drtool.repository.manifests import SourceEntry
from drtool.repository.packs import pack_name
from drtool.repository.primitives import SigningKey
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.sources.base import Source

if TYPE_CHECKING:
    from drtool.config.relations import Relation
    from drtool.operations.relations.outcome import Outcome


@dataclass(slots=True)
class Checked:
    """What was looked at. Bytes are those of packs."""

    objects: int = 0
    chunks: int = 0
    bytes: int = 0
    records: int = 0


@dataclass(slots=True)
class Verification:
    """What verifying one snapshot showed. ``level`` is the one asked for; ``ok`` says whether it was reached."""

    snapshot: Snapshot
    level: Level
    share: float
    checked: Checked = field(default_factory=Checked)
    problems: list[Problem] = field(default_factory=list)
    proof: str | None = None
    seconds: float = 0.0
    tolerated: list[Tolerated] = field(default_factory=list)
    relations: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Was nothing found?"""
        return not self.problems


#: What other snapshots need and this one may not.
_OF_ONE_SNAPSHOT = ("packs/", "snapshots/")


class Verifier:
    """Verifies snapshots of one repository. ``source_of`` opens a source for a trial restore; `relations` are those
    that a snapshot must pass then if it holds all sources that they are about."""

    def __init__(
        self,
        repository: Repository,
        budget: Budget,
        reporter: Reporter,
        source_of: Callable[[SourceEntry], Source],
        relations: Sequence[Relation] = (),
    ) -> None:
        self._repository = repository
        self._budget = budget
        self._reporter = reporter
        self._source_of = source_of
        self._relations = relations
        self._reader = ChunkReader(repository)
        self._surroundings = Surroundings(repository)

    def verify(self, snapshot: Snapshot, level: Level, sample: Sample) -> Verification:
        """Raise a snapshot to `level`, or find out why it cannot be; the outcome is stored as evidence.

        ``WrongKeyError`` where a level needs an identity whose holder the root made a verifier.
        """
        signer = self._signer(level)
        started = time.monotonic()
        contents = Contents(self._reader, snapshot.manifest)
        verification = Verification(snapshot, level, sample.fraction)
        listing = list_needed(
            self._repository,
            contents,
            avoid={*self._surroundings.unreliable, *self._repository.state.bad_packs()},
            keeps_rows=level >= Level.READABLE,
        )
        broken: list[bytes] = []
        verification.problems += listing.problems
        verification.problems += self._surroundings.keys()
        verification.checked.objects = len(listing.packs) + 1
        verification.checked.chunks = listing.chunks
        if level >= Level.INTACT:
            verification.problems += self._surroundings.index_of(listing.packs)
            broken = self._inspect(verification, contents, listing, sample)
        hidden = self._hidden(snapshot, listing)
        if level >= Level.RESTORED and verification.ok:
            self._try(verification, contents)
        # What is missing is seen by listing it, and again by reading it.
        verification.problems = list(dict.fromkeys([*verification.problems, *hidden]))
        verification.seconds = time.monotonic() - started
        evidence_id = self._record(verification, signer)
        unknown = [sha256 for sha256 in broken if sha256 not in self._surroundings.unreliable]
        if unknown and level >= Level.READABLE:
            self._distrust(unknown, evidence_id)
        return verification

    def close(self) -> None:
        """Give up the threads."""
        self._reader.close()

    def _signer(self, level: Level) -> SigningKey:
        if level < Level.READABLE and self._repository.may_sign(Kind.EVIDENCE):
            return self._repository.signer
        if self._repository.verifier is None:
            raise WrongKeyError(
                f"level {level.label} needs an identity that is one of the repository's verifiers",
                hint="Name it as repository.identity in the configuration of the host that verifies.",
            )
        return self._repository.verifier

    def _hidden(self, snapshot: Snapshot, listing: Listing) -> list[Problem]:
        """What was deleted or replaced and is read from an older version, of all that this snapshot rests on.

        No reason not to try a restore: it works all the same.
        """
        needed = {snapshot.manifest.name, *map(pack_name, listing.packs)}
        found = self._repository.storage.hidden()
        return [Problem.of(e) for e in found if e.object in needed or not e.object.startswith(_OF_ONE_SNAPSHOT)]

    def _inspect(self, verification: Verification, contents: Contents, listing: Listing, sample: Sample) -> list[bytes]:
        """Read the packs of the sample; those that are not to be relied on."""
        chosen = sample.choose(listing.packs, os.urandom(16))
        bad: dict[bytes, Problem] = {}
        broken: list[bytes] = []
        opened = 0
        task = f"Reading {verification.snapshot.id}"
        self._reporter.start(task, sum(chosen.values()))
        try:
            findings = inspect_packs(
                self._repository,
                self._reader,
                listing,
                chosen,
                verification.level,
                lambda size: self._reporter.advance(task, size),
            )
            for sha256, found in findings:
                verification.checked.bytes += found.size
                opened += found.opened
                if found.problem is not None:
                    # Where the chunks were looked at one by one, those that are bad tell the streams.
                    streams = [""] if found.chunks else listing.streams[sha256]
                    verification.problems += [replace(found.problem, stream=stream) for stream in streams]
                bad |= found.bad_chunks
                if found.problem or found.bad_chunks:
                    broken.append(sha256)
            # Only a verifier may tell other hosts; this one need not rely on them all the same.
            self._repository.state.note_bad_packs(broken, chosen.keys() - set(broken))
        finally:
            self._reporter.finish(task)
        if bad:
            verification.problems += _chunk_problems(contents, bad)
        if verification.level >= Level.READABLE:
            verification.checked.chunks = opened
            needed = listing.count(chosen)
            if opened < needed and not broken:
                message = f"only {opened} of the {needed} chunks needed were opened"
                verification.problems.append(Problem("incomplete", "", "", message))
        return broken

    def _distrust(self, packs: Sequence[bytes], evidence_id: str) -> None:
        """Writers are not to rely on these packs any more; the next backup then stores their chunks anew."""
        reason = "verification found them missing, altered, or with chunks that do not open"
        distrust(self._repository, packs, reason, self._repository.verifier, evidence_id)
        self._surroundings.unreliable.update(packs)

    def _try(self, verification: Verification, contents: Contents) -> None:
        sources: dict[str, Source] = {}
        for origin in verification.snapshot.manifest.sources:
            source = sources[origin.name] = self._source_of(origin)
            try:
                result = try_restore(contents, self._repository.keyring, origin, source, self._budget, self._reporter)
            except (IncompleteRestoreError, DamagedObjectError) as error:
                verification.problems.append(Problem.of(error))
                continue
            verification.checked.records += result.records
            verification.problems += result.problems
            verification.tolerated += result.tolerated
        if verification.ok and self._relations:
            self._relate(verification, contents, sources)
        if verification.ok:
            verification.proof = verification.snapshot.manifest.proof

    def _relate(self, verification: Verification, contents: Contents, sources: Mapping[str, Source]) -> None:
        """Only once all came back as they are in the snapshot: what its records say, the copies say then too."""
        from drtool.operations.relations.judging import Judge

        task = "Checking relations"
        judge = Judge(contents, sources.__getitem__, lambda size: self._reporter.advance(task, size))
        self._reporter.start(task)
        try:
            for relation in judge.concerning(self._relations):
                outcome = judge.judge(relation)
                verification.relations.append(outcome)
                if outcome.ok is None:
                    self._reporter.warn(outcome.message)
                elif not outcome.ok:
                    verification.problems.append(Problem("relation", "", "", outcome.message))
        except DamagedObjectError as error:
            verification.problems.append(Problem.of(error))
        finally:
            self._reporter.finish(task)

    def _record(self, verification: Verification, signer: SigningKey) -> str:
        found = Evidence(
            snapshot=verification.snapshot.id,
            manifest=verification.snapshot.hash,
            level=verification.level.label,
            ok=verification.ok,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            host=socket.gethostname(),
            tool=f"drtool {__version__}",
            share=verification.share,
            checked=asdict(verification.checked),
            problems=tuple(asdict(problem) for problem in verification.problems),
            proof=verification.proof,
            seconds=round(verification.seconds, 3),
            tolerated=tuple(asdict(one) for one in verification.tolerated),
            relations=tuple(one.without_data() for one in verification.relations),
        )
        return evidence.record(self._repository, found, signer)


def parse_level(word: str) -> Level:
    """The level of this name; ``UsageError`` otherwise."""
    try:
        return Level[word.upper()]
    except KeyError as error:
        raise UsageError(f"no level {word!r}: listed, intact, readable or restored") from error


def _chunk_problems(contents: Contents, bad: dict[bytes, Problem]) -> list[Problem]:
    """The bad chunks that this snapshot needs, with the streams that need them."""
    try:
        found = dict.fromkeys(streams_with(contents, bad))
    except RepositoryError as error:
        return [Problem.of(error)]
    return [replace(bad[id_], stream=stream) for stream, id_ in found]

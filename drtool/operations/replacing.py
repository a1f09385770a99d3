"""Before something is replaced: what is there is backed up, checked, and kept until somebody releases it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drtool.errors import NoSuchSnapshotError, SourceError, VerificationFailedError
from drtool.operations.backup import back_up
from drtool.operations.budget import Budget
from drtool.operations.inspecting import Sample
from drtool.operations.joblock import job_lock
from drtool.operations.picking import held_by
from drtool.operations.prospects import Prospect
from drtool.operations.reporting import Reporter
from drtool.operations.retention.protecting import holding, protect
from drtool.operations.safekeeping import TAG, job_of_safety, safety_job
from drtool.operations.verify import Verifier
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.evidence import Level
from drtool.repository.manifests import SourceEntry
from drtool.repository.pins import PinKind
from drtool.repository.repository import Repository
from drtool.sources.base import Source, StreamInfo


@dataclass(frozen=True, slots=True)
class Safety:
    """A safety snapshot and the level that it was verified to. ``undoes`` are by source the snapshots that hold what
    was there: this one, or an earlier one where the restore before this did not end."""

    snapshot: Snapshot
    level: Level
    undoes: dict[str, str]


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


def compare_with(repository: Repository, prospect: Prospect, source: Source) -> Standing:
    """Of a source that is to be restored in place. Reads its catalogue only.

    One that cannot be read is bare where its target found nothing in the way: what is lost cannot be saved.
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
    stays = tuple(stream for stream in there if stream.name not in held)
    if not prospect.replaced and names.isdisjoint([*wanted, *prospect.made.values()]):
        return _bare(source, prospect, stays, wanted)
    return Standing(source, prospect, stays, tuple(name for name in wanted if name not in names), is_bare=False)


def _there(source: Source) -> list[StreamInfo]:
    with contextlib.closing(source.prepare(None)) as prepared, contextlib.closing(prepared.freeze()) as view:
        return [stream for stream in view.streams() if not stream.beside]


def _bare(source: Source, prospect: Prospect, stays: tuple[StreamInfo, ...], wanted: Sequence[str]) -> Standing:
    """Should something come into being there after all, the restore is refused."""
    kept = replace(prospect, plan=replace(prospect.plan, replace=False))
    return Standing(source, kept, stays, tuple(wanted), is_bare=True)


class Replacing:
    """One restore in place of a snapshot. `directory` is where this host keeps its locks on the repository's jobs.

    `wait` (seconds) returns True where waiting is to end.
    """

    def __init__(
        self,
        repository: Repository,
        snapshot: Snapshot,
        directory: Path,
        budget: Budget,
        reporter: Reporter,
        wait: Callable[[float], bool],
    ) -> None:
        self._repository, self._snapshot, self._directory = repository, snapshot, directory
        self._budget, self._reporter, self._wait = budget, reporter, wait
        self._unfinished = _Unfinished(directory / "in-place")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the job's locks: no backup of what is half replaced is taken on this host."""
        job = job_of_safety(self._snapshot.manifest.job)
        with job_lock(self._directory, job), job_lock(self._directory, safety_job(job)):
            yield

    def save(self, sources: Sequence[Source]) -> Safety:
        """Take a safety snapshot of these sources, read all of it back, and protect it and the snapshot to be restored.

        ``VerificationFailedError`` where it is not sound, ``PartialError`` where not all of it could be read.
        """
        job = safety_job(self._snapshot.manifest.job)
        taken = back_up(self._repository, job, sources, self._budget, self._reporter, tags=(TAG,))
        catalogue = read_catalogue(self._repository)
        safety = next((one for one in catalogue.snapshots if one.id == taken.snapshot), None)
        if safety is None:
            raise NoSuchSnapshotError(f"safety snapshot {taken.snapshot} is gone already: nothing was replaced")
        self._protect(safety)
        return Safety(safety, self._verify(safety), self._unfinished.undoes(safety.id, sources, catalogue.snapshots))

    @contextlib.contextmanager
    def replacing(self, safety: Safety) -> Iterator[None]:
        """The block that writes. While it has not ended well this host remembers what was there before."""
        self._unfinished.note(safety.undoes)
        yield
        self._unfinished.forget(safety.undoes)

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


class _Unfinished:
    """By source, the snapshot that holds what was there before a restore in place that did not end: a file each.

    What a later attempt finds there, and saves, is the half of two things.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def undoes(self, safety: str, sources: Sequence[Source], there: Collection[Snapshot]) -> dict[str, str]:
        """The snapshot that holds what was there, by source: `safety` where no earlier one is noted and still there."""
        ids = {snapshot.id for snapshot in there}
        noted = {source.name: self._noted(source.name) for source in sources}
        return {name: found if found in ids else safety for name, found in noted.items()}

    def note(self, undoes: dict[str, str]) -> None:
        """Remember them from here on."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for source, snapshot in undoes.items():
            (self._directory / source).write_text(snapshot, encoding="utf-8")

    def forget(self, sources: Collection[str]) -> None:
        """What was begun has ended."""
        for source in sources:
            (self._directory / source).unlink(missing_ok=True)

    def _noted(self, source: str) -> str:
        try:
            return (self._directory / source).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

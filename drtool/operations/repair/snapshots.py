"""Finding what lost or damaged packs took from snapshots, and having the next backup store it anew."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from drtool.errors import DamagedObjectError, DrtoolError
from drtool.operations.choosing import recency
from drtool.operations.repair.holdings import Holdings
from drtool.operations.repair.keptpages import put_kept_pages
from drtool.operations.repair.losses import Damage, Loss, Survey, joined
from drtool.operations.reporting import Reporter
from drtool.operations.verify.distrusting import distrust, distrusted
from drtool.repository.chain import Snapshot
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Losses:
    """What is lost of all snapshots: ``damages`` of those that are hit, oldest first.

    ``bad`` are the packs that are gone or damaged, ``unknown`` those of them that writers are not told of yet.
    ``again`` are chunks that the newest snapshot of a job lacks: its next backup stores them anew, as far as the source
    still holds those records as they were. ``problems`` are bad records of distrust, and packs that were altered where
    no snapshot needs them. ``sound`` are packs that this host took for bad, and that are what they should be.
    """

    damages: tuple[Damage, ...]
    snapshots: int
    bad: frozenset[bytes]
    unknown: frozenset[bytes]
    again: frozenset[bytes]
    problems: tuple[DrtoolError, ...] = ()
    sound: frozenset[bytes] = frozenset()

    def heals(self, loss: Loss) -> bool:
        """May the next backup of the job bring it back?"""
        return self.again.issuperset(loss.chunks)


@dataclass(slots=True)
class Marked:
    """What was done so that the next backup heals: the record of distrust, and the pages that this host still had."""

    distrust: str | None = None
    pages: int = 0
    told: bool = field(default=True)


class SnapshotRepair:
    """Looks (`find`), then marks (`mark`). Make it inside a registered run, with the index up to date."""

    def __init__(self, repository: Repository, reporter: Reporter) -> None:
        self._repository, self._reporter = repository, reporter

    def find(self, snapshots: Sequence[Snapshot], *, reads: bool = False) -> Losses:
        """What these snapshots, which should be all, have lost; with `reads` every pack is read and its checksum looked
        at, without only those that this host found bad before. What is not there, or distrusted, counts too."""
        repository = self._repository
        problems: list[DrtoolError] = []
        known = distrusted(repository, problems)
        doubted = repository.state.bad_packs() - known
        with contextlib.closing(ChunkReader(repository)) as reader:
            holdings = Holdings(repository, reader, known)
            read = holdings.readable(None if reads else doubted)
            altered = self._altered(holdings, read)
            holdings.suspects |= altered
            survey = Survey(repository, reader, holdings)
            looked = [survey.look(snapshot) for snapshot in snapshots]
        bad = {pack for packs in holdings.lost.values() for pack in packs}
        problems += [_merely_altered(pack) for pack in sorted(altered - bad - known)]
        if repository.identity is None and bad & holdings.suspects:
            self._reporter.warn(
                "without the identity nobody can tell which records of damaged packs are whole: all count as lost"
            )
        hit = [damage for damage in looked if damage.losses]
        newest = {snapshot.id for snapshot in _newest(snapshots)}
        again = frozenset(id_ for one in hit if one.snapshot.id in newest for loss in one.losses for id_ in loss.chunks)
        damages = tuple(replace(damage, losses=tuple(joined(damage.losses, again))) for damage in hit)
        bad |= altered
        unknown = frozenset(bad - known)
        sound = frozenset(doubted & read.keys() - altered)
        return Losses(damages, len(snapshots), frozenset(bad), unknown, again, tuple(problems), sound)

    def mark(self, losses: Losses) -> Marked:
        """Make sure that no writer relies on what is bad, and store what this host still has of lost pages.

        Only a verifier or a maintainer can tell other hosts; without such a key this host alone knows (``told``).
        """
        repository, marked = self._repository, Marked()
        repository.state.note_bad_packs(losses.bad, losses.sound)
        if losses.unknown:
            signer = repository.verifier or repository.maintainer
            marked.told = signer is not None
            if signer is not None:
                reason = "repair found them gone or damaged"
                marked.distrust = distrust(repository, sorted(losses.unknown), reason, signer)
        marked.pages = put_kept_pages(repository, losses.damages)
        return marked

    def _altered(self, holdings: Holdings, packs: Mapping[bytes, int]) -> set[bytes]:
        if not packs:
            return set()
        task = "Reading packs"
        self._reporter.start(task, sum(packs.values()))
        try:
            return holdings.altered(packs, lambda size: self._reporter.advance(task, size))
        finally:
            self._reporter.finish(task)


def _merely_altered(pack: bytes) -> DrtoolError:
    name = pack_name(pack)
    return DamagedObjectError(f"{name} does not have its checksum, though no chunk that is needed of it is lost").about(
        name
    )


def _newest(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """The newest snapshot of each job."""
    jobs: dict[str, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        jobs[snapshot.manifest.job].append(snapshot)
    return [max(of_job, key=recency) for of_job in jobs.values()]

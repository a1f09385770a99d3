"""Which packs may go, which are worth rewriting, and which are left alone for now: decided from one survey."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drtool.operations.prune.covering import Covering
from drtool.operations.prune.reindexing import IndexPlan
from drtool.operations.prune.survey import Survey
from drtool.repository.liveness import Liveness
from drtool.repository.packs import pack_name
from drtool.repository.presence import DEAD_AFTER, Registered
from drtool.repository.repository import Repository
from drtool.repository.versions import VersionedStorage

MAX_UNUSED = 0.5
#: By how much the clocks of a host and of the store may differ.
_CLOCKS = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rules:
    """A pack is rewritten when more than ``max_unused`` of its chunks' bytes (0 to 1) are in use by nothing."""

    max_unused: float = MAX_UNUSED

    def is_worth_moving(self, used: int, held: int) -> bool:
        """Are so few of the `held` bytes of a pack's chunks in use that moving these is better than keeping the pack?

        Slots and directory do not count: what is moved takes them along.
        """
        return used < (1.0 - self.max_unused) * held


@dataclass(slots=True)
class Plan:
    """What a prune means to do. Packs come with their sizes.

    ``dead`` are in use by nothing; ``rewritten`` hold chunks to move first (by pack; none where an earlier prune moved
    them); ``unindexed`` are named by no index object. ``marked`` are those of earlier prunes. Left alone are ``young``
    packs, which a running backup may be about to use, ``locked`` ones, and ``unclear`` ones: not indexed, but with
    chunks in use, or unreadable.
    """

    dead: dict[bytes, int] = field(default_factory=dict)
    rewritten: dict[bytes, int] = field(default_factory=dict)
    moves: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    move_bytes: int = 0
    unindexed: dict[bytes, int] = field(default_factory=dict)
    marked: dict[bytes, int] = field(default_factory=dict)
    young: dict[bytes, int] = field(default_factory=dict)
    locked: dict[bytes, int] = field(default_factory=dict)
    unclear: list[bytes] = field(default_factory=list)
    index: IndexPlan = field(default_factory=lambda: IndexPlan((), ()))

    @property
    def packs(self) -> dict[bytes, int]:
        """All that are to go."""
        return {**self.dead, **self.rewritten, **self.unindexed}

    @property
    def freed_bytes(self) -> int:
        """What the store holds less afterwards, of packs."""
        return sum(self.packs.values()) + sum(self.marked.values()) - self.move_bytes


class Planner:
    """Makes a plan from a survey. `running` are the runs that are alive; `left_over` are packs that a prune which is
    known to be dead was about to index."""

    def __init__(
        self,
        repository: Repository,
        survey: Survey,
        liveness: Liveness,
        rules: Rules,
        running: Iterable[Registered],
        left_over: frozenset[bytes] = frozenset(),
    ) -> None:
        self._repository = repository
        self._survey = survey
        self._liveness = liveness
        self._rules = rules
        self._left_over = left_over
        # What a running backup stored is in use soon: marking it would make the next one store it again.
        self._since = min((began(run) for run in running), default=None)

    def plan(self) -> Plan:
        """Decide about every pack that no tombstone names."""
        plan, survey = Plan(), self._survey
        now = self._repository.storage.now()
        for pack, stored in survey.packs.items():
            if pack in survey.marked:
                plan.marked[pack] = stored.size
            elif pack not in survey.layout.by_pack:
                if pack in self._left_over or now - stored.modified > DEAD_AFTER:
                    plan.unindexed[pack] = stored.size
            elif not survey.live[pack]:
                plan.dead[pack] = stored.size
            elif self._rules.is_worth_moving(survey.live[pack], survey.held[pack]):
                plan.rewritten[pack] = stored.size
        for some in (plan.dead, plan.rewritten, plan.unindexed):
            self._leave_alone(some, plan)
        covering = Covering(self._repository, survey, self._liveness, {*survey.marked, *plan.packs})
        self._plan_moves(plan, covering)
        self._look_into(plan, covering)
        plan.index = IndexPlan.make(survey.layout, {*plan.packs, *plan.marked, *survey.vanished})
        return plan

    def _plan_moves(self, plan: Plan, covering: Covering) -> None:
        for pack in plan.rewritten:
            chunks = covering.rest(pack).chunks or frozenset()
            plan.moves[pack] = chunks
            if chunks:
                plan.move_bytes += self._survey.live[pack]

    def _look_into(self, plan: Plan, covering: Covering) -> None:
        """A pack whose index object is gone may be all that holds a chunk."""
        for pack in sorted(plan.unindexed.keys() - self._left_over):
            if not covering.rest(pack).is_nothing:
                del plan.unindexed[pack]
                plan.unclear.append(pack)

    def _leave_alone(self, packs: dict[bytes, int], plan: Plan) -> None:
        for pack in list(packs):
            if self._since is not None and self._survey.packs[pack].modified >= self._since:
                plan.young[pack] = packs.pop(pack)
        for pack in locked(self._repository.storage, packs):
            plan.locked[pack] = packs.pop(pack)


def locked(storage: VersionedStorage, packs: Collection[bytes]) -> list[bytes]:
    """Those that the store does not let go yet. Without a rule there may have been one, or the bucket has its own."""
    if not packs or not storage.keeps_versions() or (storage.rule is None and storage.keeping().locks is False):
        return []
    return [pack for pack in packs if storage.locked_until(pack_name(pack)) is not None]


def began(run: Registered) -> datetime:
    """When a run was registered, at the latest, by any clock; long ago where it cannot be told."""
    try:
        return datetime.strptime(run.id.partition("-")[0], "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC) - _CLOCKS
    except ValueError:
        return _LONG_AGO

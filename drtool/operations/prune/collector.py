"""The steps of garbage collection, in the one order that is safe (docs/format.md, "Cleaning up")."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from drtool.errors import DamagedObjectError, PreconditionFailedError, RepositoryError, RunExpiredError
from drtool.operations.prune.covering import Covering
from drtool.operations.prune.erasing import erase, erase_all
from drtool.operations.prune.moving import SLOTS, Moved, Mover
from drtool.operations.prune.planning import Plan, Planner, Rules
from drtool.operations.prune.reindexing import IndexPlan, store
from drtool.operations.prune.survey import Survey
from drtool.repository.liveness import Liveness
from drtool.repository.packs import pack_name
from drtool.repository.presence import Registered, alive
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.tombstones import Tombstone, claim, put_tombstones


@dataclass(slots=True)
class Swept:
    """What was done. Packs with their sizes; ``made`` are those that moved chunks went to, ``released`` those that are
    in use after all and lost their tombstones, ``kept`` those that the store does not give up, or that could not be
    moved from; ``problems`` say why."""

    deleted: dict[bytes, int] = field(default_factory=dict)
    made: dict[bytes, int] = field(default_factory=dict)
    released: set[bytes] = field(default_factory=set)
    kept: set[bytes] = field(default_factory=set)
    merged: int = 0
    into: int = 0
    problems: list[RepositoryError] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        """What the store holds less than before, of packs."""
        return sum(self.deleted.values()) - sum(self.made.values())


class Collector:
    """One garbage collection, step by step: `prepare`, `move`, `mark`, `waiting_for` until it is empty, `look_again`,
    `claim`, `drop_entries`, `drop_packs`, `drop_tombstones`.

    Make it inside the registered `run`. `note` is told of packs before they are made; `left_over` are packs that a
    prune which is known to be dead had made and not indexed.
    """

    def __init__(
        self,
        repository: Repository,
        run: Run,
        liveness: Liveness,
        rules: Rules,
        *,
        note: Callable[[bytes], None] | None = None,
        left_over: frozenset[bytes] = frozenset(),
    ) -> None:
        self._repository = repository
        self._run = run
        self._liveness = liveness
        self._rules = rules
        self._note = note or _nobody
        self._left_over = left_over
        self._survey: Survey | None = None
        #: The tombstones whose packs are to be deleted, as they were when runs were listed.
        self._tombstones: dict[str, Tombstone] = {}
        self._waited_for: frozenset[str] | None = None
        self._claimed: list[tuple[Tombstone, bool]] = []
        self._going: dict[bytes, int] = {}
        self._moved: dict[bytes, dict[bytes, bytes]] = {}
        self.plan = Plan()
        self.swept = Swept()

    def prepare(self) -> Plan:
        """Look at everything and decide what is to go. Changes nothing."""
        self._survey = Survey.take(self._repository, self._liveness)
        running = [run for run in alive(self._repository) if run.name != self._run.name]
        planner = Planner(self._repository, self._survey, self._liveness, self._rules, running, self._left_over)
        self.plan = planner.plan()
        self._tombstones = {tombstone.name: tombstone for tombstone in self._survey.tombstones}
        return self.plan

    def move(self) -> None:
        """Store and index elsewhere what is in use of packs that are to be rewritten.

        Before they are marked: a backup that begins from then on finds it there.
        """
        moved = self._move(self.plan.moves)
        for pack in moved.failed:
            self.plan.rewritten.pop(pack, None)
        self._require_alive()

    def mark(self) -> None:
        """Put tombstones."""
        for tombstone in put_tombstones(self._repository, self.plan.packs):
            self._tombstones[tombstone.name] = tombstone

    @property
    def has_marks(self) -> bool:
        """Is there a tombstone to deal with?"""
        return bool(self._tombstones)

    def waiting_for(self) -> list[Registered]:
        """The runs that may rely on marked packs: of those that were there at the first look, since everybody who came
        later knows the tombstones."""
        if not self._tombstones:
            return []
        running = [run for run in alive(self._repository) if run.name != self._run.name]
        if self._waited_for is None:
            self._waited_for = frozenset(run.name for run in running)
        hashes = [tombstone.hash for tombstone in self._tombstones.values()]
        return [run for run in running if run.name in self._waited_for and run.holds_up(hashes)]

    def put_off(self, waiting: Collection[Registered]) -> None:
        """Leave alone, for the next prune, what is marked by tombstones that one of these runs may not know."""
        kept = self._tombstones.items()
        self._tombstones = {name: t for name, t in kept if not any(run.holds_up([t.hash]) for run in waiting)}

    def look_again(self) -> None:
        """Read all manifests and segments again: what was committed meanwhile counts."""
        self._survey = Survey.take(self._repository, self._liveness)

    def claim(self) -> None:
        """Decide whether each marked pack may go; move once more what must be moved; take the tombstones over.

        A tombstone that somebody else replaced meanwhile is left to that one.
        """
        survey = self._surveyed
        now = {tombstone.name: tombstone for tombstone in survey.tombstones}
        ours = [t for name, t in self._tombstones.items() if name in now and now[name].hash == t.hash]
        covering = Covering(self._repository, survey, self._liveness, survey.marked, self._moved)
        # What lies in a pack it says itself: who hides the index object that names it, and names less, gains nothing.
        covering.read({*self.swept.made}.union(*(tombstone.packs for tombstone in ours)))
        release: set[bytes] = set()
        moves: dict[bytes, frozenset[bytes]] = {}
        for tombstone in ours:
            for pack in tombstone.packs:
                self._judge(pack, tombstone, covering, moves, release)
        self._move(moves)
        # Whoever began to delete may do so any moment, dead as it seems: what it had marked stays marked.
        stuck = {pack for t in ours if t.sweep for pack in t.packs & (release | self.swept.kept)}
        release -= stuck
        self._require_alive()
        for tombstone in ours:
            self._take_over(tombstone, release, stuck)

    def _judge(
        self,
        pack: bytes,
        tombstone: Tombstone,
        covering: Covering,
        moves: dict[bytes, frozenset[bytes]],
        release: set[bytes],
    ) -> None:
        survey = self._surveyed
        if pack in self._left_over and pack not in survey.layout.by_pack:
            return
        chunks = covering.rest(pack).chunks
        if chunks is None:
            release.add(pack)
            name = pack_name(pack)
            self.swept.problems.append(DamagedObjectError(f"{name}: what lies in it cannot be told").about(name))
        elif chunks:
            is_there = pack in survey.packs and pack in survey.layout.by_pack
            uses, held = survey.live.get(pack, 0), survey.held.get(pack, 0)
            if is_there and (tombstone.sweep or self._rules.is_worth_moving(uses, held)):
                moves[pack] = chunks
            else:
                release.add(pack)

    def _take_over(self, tombstone: Tombstone, release: set[bytes], stuck: set[bytes]) -> None:
        failed = self.swept.kept if not tombstone.sweep else set()
        keep = tombstone.packs - release - failed
        try:
            claimed = claim(self._repository, tombstone, keep, self._run.id)
        except PreconditionFailedError:
            return
        self.swept.released |= tombstone.packs & (release | failed)
        self._claimed.append((claimed, not keep & stuck))
        packs = self._surveyed.packs
        self._going |= {pack: packs[pack].size if pack in packs else 0 for pack in keep - stuck}

    def drop_entries(self) -> None:
        """Take packs that go, or are gone, out of the index, and merge what is small. Also without any that go."""
        self._require_alive()
        survey = self._surveyed
        plan = IndexPlan.make(survey.layout, {*self._going, *survey.vanished})
        made = store(self._repository, plan.payloads())
        replaced = [name for name in plan.objects if name not in made]
        for _ in erase_all(self._repository.storage, replaced, self._require_alive):
            continue
        self.swept.merged, self.swept.into = len(plan.objects), len(made)

    def drop_packs(self) -> None:
        """Delete the packs, and what was added to their slots."""
        storage = self._repository.storage
        slots: dict[str, list[str]] = {}
        for info in storage.list(SLOTS) if self._going else ():
            slots.setdefault(info.name.rpartition("/")[2], []).append(info.name)
        names = {pack_name(pack): pack for pack in self._going}
        for name, is_gone in erase_all(storage, names, self._require_alive):
            pack = names[name]
            if is_gone:
                self.swept.deleted[pack] = self._going[pack]
            else:
                self.swept.kept.add(pack)
            for added in slots.get(pack.hex(), ()):
                erase(storage, added)

    def drop_tombstones(self) -> None:
        """Delete the tombstones of packs that are gone."""
        for tombstone, is_done in self._claimed:
            if is_done and not tombstone.packs & self.swept.kept:
                erase(self._repository.storage, tombstone.name)

    @property
    def _surveyed(self) -> Survey:
        assert self._survey is not None
        return self._survey

    def _move(self, moves: dict[bytes, frozenset[bytes]]) -> Moved:
        wanted = {pack: chunks for pack, chunks in moves.items() if chunks}
        moved = Mover(self._repository, self._surveyed, self._note).move(wanted)
        self.swept.made |= moved.packs
        for pack, places in moved.to.items():
            self._moved.setdefault(pack, {}).update(places)
        self.swept.kept |= moved.failed.keys()
        self.swept.problems += moved.failed.values()
        return moved

    def _require_alive(self) -> None:
        if self._run.lapsed:
            raise RunExpiredError(
                f"run {self._run.id} could not renew its registration for too long (was the machine suspended?):"
                " another one may have cleaned up meanwhile",
                hint="Run prune again: it goes on where this one stopped.",
            )


def _nobody(_pack: bytes) -> None:
    """Is told of a pack where nobody wants to be."""

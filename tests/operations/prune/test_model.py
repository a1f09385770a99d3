"""The protocol of garbage collection, tried in orders that no test names: on the real code, with clocks that are moved.

Nothing that a committed snapshot needs may ever go, whatever runs, waits, is suspended or is killed meanwhile; and a
collector that leaves out a step of the protocol is found out.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drtool.operations.prune.collector import Collector
from drtool.repository.presence import Registered
from tests.operations.prune.model import Pruner, Reader, World, Writer, stop_renewing

_NUMBERS = st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True)
_WHICH = st.integers(0, 1)


class Protocol(RuleBasedStateMachine):
    """Two backup hosts, a restore, retention and two collectors."""

    @initialize()
    def begin(self) -> None:
        """An empty repository."""
        self.directory = tempfile.TemporaryDirectory()
        self.world = World(Path(self.directory.name))
        world = self.world
        other = world.made.enrol("host2")
        self.writers = [Writer(world, world.open("w1"), "one"), Writer(world, world.open("w2", other), "two")]
        self.pruners = [Pruner(world, world.own(f"p{n}"), Collector) for n in range(2)]
        self.reader = Reader(world, world.own("reader"))
        self.looker = world.own("looker")

    @rule(which=_WHICH, numbers=_NUMBERS)
    def back_up(self, which: int, numbers: list[int]) -> None:
        """Begin a backup, or go on with it."""
        writer = self.writers[which]
        if not writer.is_busy:
            writer.numbers = numbers
        writer.advance()

    @rule(which=_WHICH, numbers=_NUMBERS)
    def back_up_at_once(self, which: int, numbers: list[int]) -> None:
        """A whole backup, or the rest of one."""
        self.back_up(which, numbers)
        while self.writers[which].is_busy:
            self.writers[which].advance()

    @rule(which=_WHICH)
    def kill_backup(self, which: int) -> None:
        """SIGKILL."""
        self.writers[which].die()

    @precondition(lambda self: self.world.committed)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Retention removes a snapshot."""
        self.world.remove(data.draw(st.sampled_from(sorted(self.world.committed))))

    @rule(hours=st.sampled_from([1, 7, 13, 25]), awake=st.booleans())
    def pass_time(self, hours: float, awake: bool) -> None:
        """Everybody is suspended, or renews in between."""
        if awake:
            for writer in self.writers:
                if writer.run is not None and not writer.run.lapsed:
                    writer.run.renew()
            for pruner in self.pruners:
                pruner.renew()
        self.world.pass_time(min(hours, 7) if awake else hours)

    @rule(which=_WHICH, max_unused=st.sampled_from([0.0, 0.5, 1.0]))
    def prune(self, which: int, max_unused: float) -> None:
        """Begin to prune, or go on."""
        pruner = self.pruners[which]
        if pruner.is_busy:
            pruner.advance()
        else:
            pruner.begin(max_unused)

    @rule(which=_WHICH, steps=st.integers(1, 9))
    def prune_on(self, which: int, steps: int) -> None:
        """Several steps."""
        if not self.pruners[which].is_busy:
            self.pruners[which].begin(0.5)
        for _ in range(steps):
            if self.pruners[which].is_busy:
                self.pruners[which].advance()

    @rule(which=_WHICH)
    def kill_prune(self, which: int) -> None:
        """SIGKILL."""
        self.pruners[which].die()

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Begin to restore, or read what was begun."""
        if self.reader.run is not None:
            self.reader.finish()
        elif self.world.committed:
            self.reader.begin(data.draw(st.sampled_from(sorted(self.world.committed))))

    @invariant()
    def nothing_needed_is_gone(self) -> None:
        """The one law."""
        if hasattr(self, "world"):
            self.world.check(self.looker)

    def teardown(self) -> None:
        """Everything that is committed can be read."""
        if not hasattr(self, "world"):
            return
        try:
            self.world.read_everything()
            for writer in self.writers:
                writer.die()
            for pruner in self.pruners:
                pruner.die()
            stop_renewing(self.reader.run)
        finally:
            self.world.close()
            self.directory.cleanup()


#: Orders that are made up, the same ones every time.
TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=6,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Impatient(Collector):
    """Waits for nobody."""

    def waiting_for(self) -> list[Registered]:
        """Nobody."""
        return []


class Hasty(Collector):
    """Does not read the manifests again."""

    def look_again(self) -> None:
        """Everything else."""
        with mock.patch.object(self._liveness, "look"):
            super().look_again()


class Late(Collector):
    """Marks only when it has waited and looked again: too late for those who began meanwhile."""

    def mark(self) -> None:
        """Not yet."""

    def claim(self) -> None:
        """Mark what was unused, and take it over."""
        super().mark()
        super().look_again()
        super().claim()


def _orders() -> Iterator[str]:
    """Every order in which a backup (three turns) and a collector (four) can follow each other. After the collector's
    second turn, in which it lists runs, it makes no difference when a backup registers: that comes right before its
    next turn."""
    for backups in itertools.combinations(range(7), 3):
        if backups[0] < 2 or backups[1] == backups[0] + 1:
            yield "".join("b" if turn in backups else "p" for turn in range(7))


def _begun() -> World:
    """A repository in which the backup can find chunks again that nothing needs, in packs that are to be deleted or to
    be rewritten."""
    directory = tempfile.mkdtemp()
    world = World(Path(directory))
    world.stack.callback(shutil.rmtree, directory)
    writer = Writer(world, world.open("w1"), "one")
    for numbers in ([0, 1, 2, 3, 4, 5, 6, 7], [0]):
        writer.numbers = numbers
        for step in writer.steps:
            step()
    world.remove(min(world.committed, key=lambda id_: world.committed[id_].snapshot.manifest.number))
    return world


def _loss(make: Callable[..., Collector], template: World, order: str) -> str:
    """What goes wrong in this order, if anything does."""
    with template.copied() as world:
        writer = Writer(world, world.open("w1"), "two", numbers=[1, 4])
        owner = world.own("p")
        pruner = Pruner(world, owner, make)
        turns = iter((writer.steps[:1], writer.steps[1:4], writer.steps[4:]))
        pruner.begin(0.5)
        try:
            for turn in order:
                if turn == "p":
                    pruner.take_turn()
                else:
                    for step in next(turns):
                        step()
                world.check(owner)
            while pruner.is_busy:
                pruner.take_turn()
                world.check(owner)
        except AssertionError as error:
            return str(error)
        finally:
            writer.die()
            pruner.die()
    return "" if pruner.swept else "nothing was deleted"


@pytest.fixture(scope="module")
def begun() -> Iterator[World]:
    """Made once."""
    world = _begun()
    yield world
    world.close()


@pytest.mark.parametrize("make", [Impatient, Hasty, Late])
def test_a_collector_that_leaves_out_a_step_is_found_out(begun: World, make: Callable[..., Collector]) -> None:
    assert any("lost chunk" in _loss(make, begun, order) for order in _orders())


@pytest.mark.heavy
def test_in_every_order_of_a_backup_and_a_collector_nothing_is_lost(begun: World) -> None:
    assert {order: _loss(Collector, begun, order) for order in _orders()} == dict.fromkeys(_orders(), "")

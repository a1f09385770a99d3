"""Hosts that back up, restore, remove and prune one repository, each a step at a time, on the real code."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from drtool.errors import DrtoolError
from drtool.operations.prune.collector import Collector
from drtool.operations.prune.planning import Rules
from drtool.repository.chain import Snapshot
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.layout import Layout
from drtool.repository.liveness import Liveness
from drtool.repository.manifests import StreamEntry, encode_streams
from drtool.repository.presence import Registered
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.writer import ChunkWriter
from tests.operations.prune.memory_store import MemoryStore
from tests.operations.prune.shelves import contents
from tests.repository.builders import Made, Stream, commit, make, put_removal, write_stream

SHORT_PACK = 5000
#: The steps of a collector that a turn of its may end before: waiting, looking again, deleting.
_TURNS = (3, 4, 5)


def piece(number: int) -> bytes:
    """A chunk's content."""
    return bytes([number]) * 100 + number.to_bytes(4) * 200


@dataclass
class Committed:
    """A snapshot, the chunks that it needs, and the contents of those of its stream."""

    snapshot: Snapshot
    needs: frozenset[bytes]
    pieces: tuple[bytes, ...]


class World:
    """The store, its clock, and everybody who works on it."""

    def __init__(self, directory: Path, made: Made | None = None) -> None:
        # Hosts name their runs by their own clocks; what is there at first is older than all of them.
        self.store = MemoryStore(time=datetime.now(UTC) - timedelta(hours=48))
        self.awake = 1000.0
        self.stack = ExitStack()
        patches: Sequence[tuple[str, Any]] = (
            ("drtool.repository.packs.PACK_BYTES", SHORT_PACK),
            ("drtool.repository.runs._awake_clock", lambda: self.awake),
        )
        for name, value in patches:
            self.stack.enter_context(mock.patch(name, value))
        self.made = make(directory, self.store) if made is None else replace(made, storage=self.store, local=directory)
        self.committed: dict[str, Committed] = {}
        self._removals = 0
        self._index: frozenset[str] = frozenset()
        self._layout = Layout([], {})

    @contextmanager
    def copied(self) -> Iterator[World]:
        """Another world in which the same has happened, on hosts that know nothing of it."""
        with tempfile.TemporaryDirectory() as directory:
            world = World(Path(directory), self.made)
            try:
                world.store.objects = dict(self.store.objects)
                world.committed = dict(self.committed)
                world.pass_time(48)
                yield world
            finally:
                world.close()

    def open(self, host: str, agent: Any = None) -> Repository:
        """The repository as a backup host opens it."""
        repository = self.made.as_agent(host, agent)
        self.stack.callback(repository.close)
        return repository

    def own(self, host: str) -> Repository:
        """The repository as its owner opens it."""
        repository = self.made.as_owner(host)
        self.stack.callback(repository.close)
        return repository

    def pass_time(self, hours: float) -> None:
        """Let all clocks go on."""
        self.awake += hours * 3600
        self.store.pass_time(hours)

    def remove(self, id_: str) -> None:
        """What retention does."""
        self._removals += 1
        owner = self.made.as_owner(f"retention{self._removals}")
        assert owner.maintainer is not None
        put_removal(owner, [self.committed.pop(id_).snapshot], owner.maintainer, self._removals)
        owner.close()

    def check(self, owner: Repository) -> None:
        """Nothing that a committed snapshot needs may ever be gone, or be found by nobody."""
        index = frozenset(name for name in self.store.objects if name.startswith("index/"))
        if index != self._index:
            self._index, self._layout = index, Layout.read(owner)
        layout = self._layout
        there = {name for name in self.store.objects if name.startswith("packs/")}
        for id_, one in self.committed.items():
            for need in one.needs:
                places = [f"packs/{p.entry.pack.hex()[:2]}/{p.entry.pack.hex()}" for p in layout.places(need)]
                assert there.intersection(places), f"snapshot {id_} lost chunk {need.hex()[:16]}"

    def read_everything(self) -> None:
        """Read every snapshot, on a host that has never seen the repository."""
        owner = self.own("last")
        owner.refresh_index()
        found = contents(owner)
        assert {id_: tuple(chunks) for id_, chunks in found.items()} == {
            id_: one.pieces for id_, one in self.committed.items()
        }

    def close(self) -> None:
        """Take everything down."""
        self.stack.close()


@dataclass
class Writer:
    """A backup host: `steps` are what a backup does, in its order, without the last look whether every pack is there:
    the protocol has to do without."""

    world: World
    repository: Repository
    job: str
    numbers: Sequence[int] = ()
    run: Run | None = None
    at: int = 0
    _writer: ChunkWriter | None = None
    _entry: StreamEntry | None = None
    _lists: list[tuple[bytes, int]] = field(default_factory=list)

    @property
    def steps(self) -> Sequence[Callable[[], None]]:
        """The steps of one backup."""
        return (self.register, self.know, self.write, self.flush, self.commit, self.end)

    @property
    def is_busy(self) -> bool:
        """Is a backup going on?"""
        return self.at > 0

    def advance(self) -> None:
        """Do the next step; a backup that fails is given up."""
        try:
            self.steps[self.at]()
        except DrtoolError:
            self.give_up()
            return
        self.at = (self.at + 1) % len(self.steps)

    def register(self) -> None:
        """Put the run."""
        self.run = Run(self.repository, "backup", self.job)
        self.run.__enter__()

    def know(self) -> None:
        """Read tombstones and index."""
        assert not self.repository.refresh_index()
        self._writer = ChunkWriter(self.repository)
        assert self.run is not None
        self.run.keep_clear(self._writer.seen)

    def write(self) -> None:
        """Store chunks, or refer to those that are known."""
        assert self._writer is not None
        pieces = tuple(piece(number) for number in self.numbers)
        self._entry = write_stream(self._writer, Stream("db.c", pieces))

    def flush(self) -> None:
        """Store what is open."""
        assert self._writer is not None
        assert self._entry is not None
        writer = self._writer
        self._lists = [(writer.add(ChunkKind.CATALOG, d), len(d)) for d in encode_streams([self._entry])]
        writer.flush()

    def commit(self) -> None:
        """Renew, and put the manifest right after."""
        assert self.run is not None
        assert self._entry is not None
        self.run.renew()
        snapshot = commit(self.repository, job=self.job, stream_chunks=self._lists, stream_count=1)
        needs = {id_ for id_, _ in self._lists} | {self._entry.definition}
        self.world.committed[snapshot.id] = Committed(
            snapshot, frozenset(needs | self._below()), tuple(piece(number) for number in self.numbers)
        )

    def _below(self) -> set[bytes]:
        assert self._entry is not None
        keyring = self.repository.keyring
        found = {chunk_id(keyring, ChunkKind.DATA, piece(number)) for number in self.numbers}
        if self._entry.root is not None:
            found.add(self._entry.root.id)
        return found

    def end(self) -> None:
        """Say that it was committed."""
        assert self.run is not None
        self.run.outcome = "committed"
        self._leave(None)

    def give_up(self) -> None:
        """Fail."""
        self._leave(RuntimeError)
        self.at = 0

    def die(self) -> None:
        """Be killed: nothing is said."""
        stop_renewing(self.run)
        if self._writer is not None:
            self._writer.close()
        self.run, self._writer, self.at = None, None, 0

    def _leave(self, kind: type[BaseException] | None) -> None:
        run, self.run = self.run, None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if run is not None:
            run.__exit__(kind, None, None)


@dataclass
class Reader:
    """A restore: it registers, chooses a snapshot, reads the index, and reads the snapshot at some later time."""

    world: World
    repository: Repository
    run: Run | None = None
    wanted: str = ""

    def begin(self, wanted: str) -> None:
        """Register, then make sure that the snapshot is there; the index is read now."""
        self.run = Run(self.repository, "restore")
        self.run.__enter__()
        self.repository.refresh_index()
        self.wanted = wanted

    def finish(self) -> None:
        """Read all of it, through an index that may be out of date by now."""
        assert self.run is not None
        run, self.run = self.run, None
        if not run.lapsed and self.wanted in self.world.committed:
            expected = self.world.committed[self.wanted].pieces
            assert tuple(contents(self.repository)[self.wanted]) == expected
        run.__exit__(None, None, None)


class Pruner:
    """A collector, a step at a time; it may be killed between any two. Two may be at it at once, without a lease."""

    def __init__(self, world: World, repository: Repository, make_collector: Callable[..., Collector]) -> None:
        self._world = world
        self._repository = repository
        self._make = make_collector
        self._run: Run | None = None
        self._liveness: Liveness | None = None
        self._collector: Collector | None = None
        self.at = 0
        self.waiting: list[Registered] = []
        self.swept = 0

    @property
    def is_busy(self) -> bool:
        """Is it at work?"""
        return self._run is not None

    def begin(self, max_unused: float) -> None:
        """Register."""
        self._run = Run(self._repository, "prune")
        self._run.__enter__()
        self._liveness = Liveness(self._repository)
        self._collector = self._make(self._repository, self._run, self._liveness, Rules(max_unused))
        self.at = 0

    def advance(self) -> None:
        """Do the next step; at the waiting, look once, and stay there while somebody is waited for."""
        collector = self._collector
        assert collector is not None
        steps: tuple[Callable[[], object], ...] = (
            collector.prepare,
            collector.move,
            collector.mark,
            collector.waiting_for,
            collector.look_again,
            collector.claim,
            collector.drop_entries,
            collector.drop_packs,
            collector.drop_tombstones,
        )
        try:
            found = steps[self.at]()
        except DrtoolError:
            self.stop(failed=True)  # what it reads may go while it reads: the other one is at it, too
            return
        if self.at == 3 and found:
            return
        self.at += 1
        if self.at == len(steps):
            self.swept += len(collector.swept.deleted)
            self.stop()

    def take_turn(self) -> None:
        """Do the steps up to the next after which another order could matter."""
        before = -1
        while self.is_busy and self.at != before:
            before = self.at
            self.advance()
            if self.at in _TURNS:
                break

    def renew(self) -> None:
        """As its own thread would."""
        if self._run is not None and not self._run.lapsed:
            self._run.renew()

    def stop(self, *, failed: bool = False) -> None:
        """End, and say so."""
        run, self._run = self._run, None
        if self._liveness is not None:
            self._liveness.close()
        if run is not None:
            run.__exit__(RuntimeError if failed else None, None, None)

    def die(self) -> None:
        """Be killed: nothing is said."""
        stop_renewing(self._run)
        self._run = None
        if self._liveness is not None:
            self._liveness.close()


def stop_renewing(run: Run | None) -> None:
    """A dead process renews nothing."""
    if run is not None:
        run._stop.set()

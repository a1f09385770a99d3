"""Helpers: what they read is what threads read, and what happens to one of them is told."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import InstantMovedError, SourceError, UnreachableError
from drtool.operations.backup.collecting import PartList
from drtool.operations.backup.intake import helper as helper_module
from drtool.operations.backup.intake import helpers as helpers_module
from drtool.operations.backup.intake.enlisting import enlisted
from drtool.operations.backup.intake.helpers import Helpers
from drtool.operations.backup.intake.intake import Intake
from drtool.operations.backup.intake.passing import SLOT_BYTES, Slots
from drtool.operations.backup.intake.units import Taken, Unit
from drtool.operations.backup.remembering import memory_of
from drtool.operations.budget import Budget
from drtool.repository.chunks import compress, decompress, keyed_id
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.plain import PlainSource
from drtool.sources.reading import KeyRange, Proof, ReadAgainError, SharedView, StreamInfo, View

_KEY = bytes(range(32))
_RULE = CutRule(_KEY, 1 << 60)
_BUDGET = Budget(2, 2, 1, 8_000_000)
_STREAM = StreamInfo("app.users", "collection", Proof.IDENTICAL, b"")
_LIST = StreamInfo("app.log", "collection", Proof.IDENTICAL, b"", keyed=False)


class _UnpicklableError(Exception):
    def __init__(self, what: str, lock: Any) -> None:
        super().__init__(what, lock)
        self.lock = lock


class _UnpicklableMovedError(InstantMovedError):
    def __init__(self, what: str, lock: Any) -> None:
        super().__init__(what)
        self.lock = lock


@dataclass
class _View:
    """Chunks of the given lengths in each part, which is named by its lower bound; then something happens."""

    lengths: tuple[int, ...] = (1000, 300_000, 70_000)
    happens: str = ""
    foreign: bool = True
    read: list[tuple[str, Exception | None]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def chunks(self, stream: StreamInfo, part: KeyRange, _rule: CutRule) -> Iterator[Chunk]:
        seed = part.lower or b""
        for number, length in enumerate(self.lengths):
            yield Chunk(_data(seed, number, length), number + 1, seed + b"%d" % number, seed + b"%d!" % number, number)
        if self.happens and seed == b"bad":
            self._happen()

    def _happen(self) -> None:
        match self.happens:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                time.sleep(60)
            case "waits":
                self.cancelled.wait(60)
                raise SourceError("cancelled")
            case "moved":
                raise InstantMovedError("the instant passed")
            case "moved, oddly":
                raise _UnpicklableMovedError("the instant passed", threading.Lock())
            case "again":
                raise ReadAgainError("app.users")
            case "unreachable":
                raise UnreachableError("it is gone", hint="Start it.")
            case "bug":
                raise _UnpicklableError("no idea", threading.Lock())

    def elsewhere(self) -> Callable[[], View] | None:
        return cast("Callable[[], View]", partial(_View, self.lengths, self.happens)) if self.foreign else None

    def read_elsewhere(self, stream: StreamInfo, ended_by: Exception | None) -> None:
        self.read.append((stream.name, ended_by))

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        """Nothing is held."""


def _data(seed: bytes, number: int, length: int) -> bytes:
    # Half of it can be compressed.
    return random.Random(seed + b"%d" % number).randbytes(length - length // 2) + bytes(length // 2)


def _units(*names: bytes, stream: StreamInfo = _STREAM, together: bool = False) -> list[Unit]:
    return [Unit(stream, KeyRange(name, name + b"~", together=together), _RULE) for name in names]


def _listed(taken: Taken) -> list[tuple[Any, ...]]:
    chunks: PartList = taken.chunks
    refs = [chunks.entry(index) for index in range(len(chunks))]
    return [(ref, bounds, beyond) for (ref, bounds), beyond in zip(refs, chunks.beyond, strict=True)]


class _Store:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.size = 0

    def put(self, data: bytes) -> bytes:
        id_ = keyed_id(_KEY, data)
        self.held[id_] = data
        return id_

    def put_packed(self, id_: bytes, packed: memoryview, length: int) -> None:
        self.held[id_] = decompress(packed, length, "a chunk")

    def advance(self, size: int) -> None:
        self.size += size


def _read(
    helpers: Helpers | None, view: _View, units: Sequence[Unit], store: _Store
) -> tuple[list[Taken], InstantMovedError | None]:
    intake = Intake(store.put, _BUDGET, store.advance)
    shared = cast("SharedView", view)
    if helpers is None:
        return intake.read(shared, units), intake.moved
    with helpers.reading(shared, _KEY, store.put_packed) as elsewhere:
        return intake.read(shared, units, elsewhere), intake.moved


@pytest.fixture
def helpers() -> Iterator[Helpers]:
    with closing(Helpers(2)) as made:
        yield made


@pytest.mark.heavy
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(2, 300_000) | st.sampled_from((2 * SLOT_BYTES, 5 * SLOT_BYTES)), max_size=4),
    st.lists(st.binary(min_size=1, max_size=3), unique=True, min_size=1, max_size=4),
)
def test_they_read_what_threads_read(lengths: list[int], names: list[bytes]) -> None:
    view, units = _View(tuple(lengths)), [*_units(*names), *_units(b"list", stream=_LIST)]
    here, elsewhere = _Store(), _Store()
    with closing(Helpers(2)) as helpers:
        for _ in range(2):  # of one view after the other
            found, _ = _read(helpers, view, units, elsewhere)
            expected, _ = _read(None, view, units, here)
            assert list(map(_listed, found)) == list(map(_listed, expected))
    assert all(taken.complete for taken in found)
    assert here.held == elsewhere.held
    assert here.size == elsewhere.size == 2 * sum(lengths) * len(units)
    assert view.read == [("app.users", None)] * 2 * len(names)


def test_what_was_read_until_the_instant_moved_is_kept(helpers: Helpers) -> None:
    store = _Store()
    found, moved = _read(helpers, _View(happens="moved"), _units(b"bad", b"good"), store)
    assert str(moved) == "the instant passed"
    assert len(found[0].chunks) == 3
    assert not found[0].complete


def test_what_is_to_be_read_again_is_read_here(helpers: Helpers) -> None:
    store, view = _Store(), _View(happens="again")
    view.chunks = partial(_View.chunks, _View())  # type: ignore[method-assign] # the one here has noted it
    found, moved = _read(helpers, view, _units(b"bad", b"good", together=True), store)
    assert moved is None
    assert [taken.complete for taken in found] == [True, True]
    assert store.size == 2 * sum(view.lengths)
    assert any(isinstance(error, ReadAgainError) for _, error in view.read)


def test_an_error_is_what_it_was(helpers: Helpers) -> None:
    with pytest.raises(UnreachableError, match="it is gone") as caught:
        _read(helpers, _View(happens="unreachable"), _units(b"bad", b"good"), _Store())
    assert caught.value.hint == "Start it."
    assert "in _happen" in str(caught.value.__cause__)  # where it was raised
    with pytest.raises(RuntimeError, match="no idea") as bug:
        _read(helpers, _View(happens="bug"), _units(b"bad"), _Store())
    assert "in _happen" in str(bug.value.__cause__)
    with pytest.raises(TypeError, match="cannot pickle"):
        _read(helpers, _View(happens="moved, oddly"), _units(b"bad"), _Store())
    found, _ = _read(helpers, _View(), _units(b"bad", b"good"), _Store())
    assert all(taken.complete for taken in found)


def test_nothing_of_a_view_comes_after_its_end() -> None:
    """What was being compressed when reading failed is not taken for the next view's."""

    def slowly(data: bytes) -> memoryview:
        time.sleep(0.2)
        return compress(data)

    with mock.patch.object(helper_module, "compress", slowly), closing(Helpers(1)) as helpers:
        with pytest.raises(UnreachableError):
            _read(helpers, _View((5 * SLOT_BYTES,), happens="unreachable"), _units(b"bad"), _Store())
        store, view = _Store(), _View()
        found, _ = _read(helpers, view, _units(b"one", b"two"), store)
    assert all(taken.complete for taken in found)
    assert store.size == 2 * sum(view.lengths)


def test_a_chunk_that_could_not_be_handed_over_is_not_joined_with_another(helpers: Helpers) -> None:
    lengths = (6 * SLOT_BYTES, 5 * SLOT_BYTES, 1000)
    real, left = Slots.emptying, iter([False, True])

    def no_memory(self: Slots, slot: int, size: int) -> Any:
        if next(left, False):
            raise MemoryError
        return real(self, slot, size)

    store = _Store()
    with helpers.reading(cast("SharedView", _View(lengths)), _KEY, store.put_packed) as reading:
        assert reading is not None
        with mock.patch.object(Slots, "emptying", no_memory), pytest.raises(MemoryError):
            reading.take(_units(b"one")[0], lambda: True, store.advance)
        for _ in range(2):  # one helper has done nothing yet
            with suppress(RuntimeError):
                reading.take(_units(b"two")[0], lambda: True, store.advance)
    assert all(keyed_id(_KEY, data) == id_ for id_, data in store.held.items())


def test_it_ends_when_what_is_being_taken_has(helpers: Helpers) -> None:
    """Where a signal ends the wait for the threads that take units."""
    lengths = (1000,) * 3 + (5 * SLOT_BYTES,) * 5
    taking, ending = threading.Event(), threading.Event()

    class Slow(_Store):
        def put_packed(self, id_: bytes, packed: memoryview, length: int) -> None:
            taking.set()
            assert ending.wait(60)
            super().put_packed(id_, packed, length)

    def hurry(self: Any) -> None:
        real(self)
        ending.set()

    store, view = Slow(), cast("SharedView", _View(lengths))
    real = helpers_module._Handle._hurry
    with ThreadPoolExecutor(1) as threads:
        with (
            mock.patch.object(helpers_module._Handle, "_hurry", hurry),
            helpers.reading(view, _KEY, store.put_packed) as reading,
        ):
            assert reading is not None
            future = threads.submit(reading.take, _units(b"one")[0], lambda: True, store.advance)
            assert taking.wait(60)
        assert future.result().complete
    assert store.size == sum(lengths)


@dataclass
class _Together(_View):
    """Each of two is closed when the other is, too."""

    directory: Path = Path()

    def elsewhere(self) -> Callable[[], View] | None:
        return cast("Callable[[], View]", partial(_Together, self.lengths, directory=self.directory))

    def close(self) -> None:
        (self.directory / str(os.getpid())).touch()
        while len(list(self.directory.iterdir())) < 2:
            time.sleep(0.01)


def test_they_close_their_views_at_the_same_time(helpers: Helpers, tmp_path: Path) -> None:
    barrier = threading.Barrier(2)

    class Both(_Store):
        def put_packed(self, id_: bytes, packed: memoryview, length: int) -> None:
            barrier.wait(60)

    _read(helpers, _Together((1000,), directory=tmp_path), _units(b"one", b"two"), Both())
    with helpers.reading(cast("SharedView", _View()), _KEY, _Store().put_packed) as elsewhere:
        assert elsewhere is not None
        assert elsewhere.at_once == 2  # none was killed


def test_an_error_of_the_store_ends_it_and_the_next_view_is_read(helpers: Helpers) -> None:
    class Full(_Store):
        def put_packed(self, id_: bytes, packed: memoryview, length: int) -> None:
            raise OSError(28, "No space left on device")

    view = _View((3 * SLOT_BYTES,) * 20)
    with pytest.raises(OSError, match="No space left"):
        _read(helpers, view, _units(b"one", b"two", b"three"), Full())
    found, _ = _read(helpers, _View(), _units(b"one", b"two", b"three"), _Store())
    assert all(taken.complete for taken in found)


def test_a_failure_ends_what_others_wait_for(helpers: Helpers) -> None:
    class Full(_Store):
        def put_packed(self, id_: bytes, packed: memoryview, length: int) -> None:
            if length == 777:
                raise OSError(28, "No space left on device")

    began = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        _read(helpers, _View((777,), happens="waits"), _units(b"bad", b"other"), Full())
    assert time.monotonic() - began < 30


def test_one_that_is_killed_is_told_and_the_others_go_on(helpers: Helpers) -> None:
    with pytest.raises(SourceError, match=r"ended unexpectedly \(exit code -9\)"):
        _read(helpers, _View(happens="killed"), _units(b"bad", b"good"), _Store())
    found, _ = _read(helpers, _View(), _units(b"one", b"two"), _Store())
    assert all(taken.complete for taken in found)
    with pytest.raises(SourceError, match="ended unexpectedly"):
        _read(helpers, _View(happens="killed"), _units(b"bad"), _Store())
    with helpers.reading(cast("SharedView", _View()), _KEY, _Store().put_packed) as elsewhere:
        assert elsewhere is None
    found, _ = _read(helpers, _View(), _units(b"one", b"two"), _Store())
    assert all(taken.complete for taken in found)


def test_one_that_does_not_end_is_killed(helpers: Helpers) -> None:
    with mock.patch.object(helpers_module, "_PATIENCE_SECONDS", 0.3):
        view = _View((10,), happens="hangs")
        began = time.monotonic()
        stopped = threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        stopped.start()
        with pytest.raises(KeyboardInterrupt):
            _read(helpers, view, _units(b"bad"), _Store())
        assert time.monotonic() - began < 30
        stopped.join()


def test_signals_are_for_the_one_that_asks(helpers: Helpers) -> None:
    for process in helpers.processes:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(process, number)
    found, _ = _read(helpers, _View(), _units(b"one", b"two"), _Store())
    assert all(taken.complete for taken in found)


def test_a_signal_while_they_are_forked() -> None:
    real, count = helpers_module._held_back, itertools.count()

    @contextmanager
    def held_back(signals: Any) -> Iterator[None]:
        with real(signals):
            yield
        if next(count) == 1:
            raise KeyboardInterrupt

    with mock.patch.object(helpers_module, "_held_back", held_back), pytest.raises(KeyboardInterrupt) as caught:
        Helpers(2)
    assert caught.tb is not None  # which knows them: nobody else ends them
    deadline = time.monotonic() + 30
    while multiprocessing.active_children():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_they_keep_nobody_waiting_for_a_signal() -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before = signal.set_wakeup_fd(writable)
    try:
        with closing(Helpers(2)):
            os.close(writable)
            ended, _, _ = select.select([readable], [], [], 30)
            assert ended
            assert os.read(readable, 1) == b""
    finally:
        signal.set_wakeup_fd(before)
        os.close(readable)


def test_a_view_that_is_not_to_be_shared(helpers: Helpers) -> None:
    view, store = _View(foreign=False), _Store()
    found, _ = _read(helpers, view, _units(b"one"), store)
    assert found[0].complete
    assert view.read == []


@dataclass
class _Hanging(_View):
    """Says who hangs, before it does."""

    sends: int = -1

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        yield from super().chunks(stream, part, rule)
        os.write(self.sends, b"%d " % os.getpid())
        time.sleep(60)

    def elsewhere(self) -> Callable[[], View] | None:
        return cast("Callable[[], View]", partial(_Hanging, self.lengths, sends=self.sends))


def test_they_end_with_the_one_that_asks() -> None:
    """Killed, it leaves none of them behind, though they hang."""
    receives, sends = os.pipe()
    asking = os.fork()
    if asking == 0:
        view = _Hanging((10,), sends=sends)
        threading.Thread(target=_read, args=(Helpers(2), view, _units(b"one", b"two"), _Store()), daemon=True).start()
        time.sleep(60)
        os._exit(1)
    os.close(sends)
    processes: list[int] = []
    while len(processes) < 2:
        told = os.read(receives, 100)
        assert told
        processes += [int(text) for text in told.split()]
    os.close(receives)
    assert all(_is_there(process) for process in processes)
    os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    _wait_for_the_end(processes)


@dataclass
class _Late(_View):
    """Is opened when the one that asked has gone."""

    closed: Path = Path()

    def close(self) -> None:
        self.closed.touch()


def _opened_late(asking: int, sends: int, closed: Path) -> _Late:
    os.write(sends, b"%d" % os.getpid())
    while os.getppid() == asking:
        time.sleep(0.01)
    return _Late(closed=closed)


def test_a_view_that_was_being_opened_is_closed(tmp_path: Path) -> None:
    receives, sends = os.pipe()
    asking = os.fork()
    if asking == 0:
        helper_module._FAREWELL_SECONDS = helper_module._LAST_READING_SECONDS = 30
        made, opening = Helpers(1), partial(_opened_late, os.getpid(), sends, tmp_path / "closed")
        view = _View()
        view.elsewhere = lambda: cast("Callable[[], View]", opening)  # type: ignore[method-assign]
        threading.Thread(target=_read, args=(made, view, _units(b"one"), _Store()), daemon=True).start()
        time.sleep(60)
        os._exit(1)
    os.close(sends)
    process = int(os.read(receives, 100))
    os.close(receives)
    os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    _wait_for_the_end([process])
    assert (tmp_path / "closed").exists()


def _wait_for_the_end(processes: Sequence[int]) -> None:
    deadline = time.monotonic() + 30
    while any(_is_there(process) for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# --- whether to have any ------------------------------------------------------------------------


class _Shared(PlainSource):
    name = "app"
    shares_views = True


class _Alone(PlainSource):
    name = "app"


def test_they_are_for_the_first_reading(tmp_path: Path) -> None:
    budget = Budget(2, 2, 1, 8_000_000, helpers=2)
    shared, alone = cast("Any", _Shared()), cast("Any", _Alone())
    with enlisted([shared], "nightly", tmp_path, budget) as helpers:
        assert helpers is not None
        assert len(helpers.processes) == 2
    with enlisted([alone], "nightly", tmp_path, budget) as none:
        assert none is None
    with enlisted([shared], "nightly", tmp_path, Budget(2, 2, 1, 8_000_000)) as none:
        assert none is None
    memory_of(tmp_path / "repository", "nightly", "app").mkdir(parents=True)
    with enlisted([shared], "nightly", tmp_path, budget) as none:
        assert none is None
    with enlisted([shared], "hourly", tmp_path, budget) as helpers:
        assert helpers is not None

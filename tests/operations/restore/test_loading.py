"""A restore's writers end when one fails or a signal comes, however much is left to write."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from drtool.errors import DamagedObjectError, IncompleteRestoreError
from drtool.operations.contents import Contents
from drtool.operations.reporting import Silent
from drtool.operations.restore.loading import load
from drtool.repository.manifests import StreamEntry
from drtool.sources.reading import Proof, StreamInfo
from drtool.sources.restoring import Loaded, RestoreItem, Target

PATIENCE = 30.0


class _Endless:
    """Contents whose streams go on until the test has waited too long."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.ran_out = False

    def records(self, _entry: StreamEntry) -> Iterator[bytes]:
        deadline = time.monotonic() + PATIENCE
        for number in itertools.count():
            if number == self.fails_at:
                raise DamagedObjectError("chunk 17 does not decrypt")
            if time.monotonic() > deadline:
                self.ran_out = True
                return
            yield b"x"


class _Drain:
    """A target that takes everything; `begun` is set at the first record."""

    def __init__(self, limit: int | None = None) -> None:
        self.begun = threading.Event()
        self.limit = limit

    def load(self, _item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        count = 0
        for _ in chunks:
            count += 1
            self.begun.set()
            if count == self.limit:
                raise IncompleteRestoreError("record 5 was not taken")
        return Loaded(count, count)


def _items(count: int) -> tuple[RestoreItem, ...]:
    names = [f"app.c{number}" for number in range(count)]
    return tuple(
        RestoreItem(StreamInfo(name, "collection", Proof.IDENTICAL, b""), name, 10, 100 * 2**20) for name in names
    )


def _load(contents: _Endless, target: _Drain, count: int) -> Loaded:
    items = _items(count)
    entries = {item.stream.name: cast(StreamEntry, None) for item in items}
    return load(cast(Contents, contents), entries, items, cast(Target, target), 2, Silent())


def test_a_signal_ends_all_writers() -> None:
    contents, target = _Endless(), _Drain()
    main = threading.get_ident()

    def interrupt() -> None:
        assert target.begun.wait(PATIENCE)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _load(contents, target, 3)
    finally:
        thread.join()
    assert not contents.ran_out


@pytest.mark.parametrize(
    ("contents", "target", "error"),
    [(_Endless(fails_at=5), _Drain(), DamagedObjectError), (_Endless(), _Drain(limit=5), IncompleteRestoreError)],
)
def test_the_first_error_ends_all_writers(contents: _Endless, target: _Drain, error: Any) -> None:
    with pytest.raises(error):
        _load(contents, target, 3)
    assert not contents.ran_out


def test_what_did_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(_Endless):
        def records(self, _entry: StreamEntry) -> Iterator[bytes]:
            yield from [b"x"] * 9

    with pytest.raises(IncompleteRestoreError, match=r"app\.c0: 9 of 10"):
        _load(Short(), _Drain(), 1)

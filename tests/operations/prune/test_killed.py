"""Prune that is killed before its requests that change something, and the one after it."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from drtool.operations.prune.prune import Wishes, prune
from drtool.operations.reporting import Silent
from drtool.storage.base import ObjectInfo
from tests.operations.prune.memory_store import MemoryStore
from tests.operations.prune.shelves import clean, read_all, remove, stream
from tests.repository.builders import Made, backup, make


class KilledError(BaseException):
    """Stands for the end of the process: nothing of it reaches the store any more."""


@dataclass
class Mortal(MemoryStore):
    """A store that a process reaches only for so many changes."""

    left: int = 1_000_000
    changes: list[str] = field(default_factory=list)

    def put(self, name: str, data: Any, **conditions: Any) -> ObjectInfo:
        """Store, while alive."""
        self._live(f"put {name}")
        return super().put(name, data, **conditions)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Delete, while alive."""
        self._live(f"delete {name}")
        super().delete(name, version=version)

    def _live(self, change: str) -> None:
        if self.left <= 0:
            raise KilledError
        self.left -= 1
        self.changes.append(change.partition("/")[0])


@pytest.fixture
def used() -> Iterator[Made]:
    """Packs to delete and to rewrite, index objects to merge."""
    with tempfile.TemporaryDirectory() as directory:
        yield _filled(Path(directory))


def _filled(directory: Path) -> Made:
    made = make(directory, Mortal())
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(14))])
        backup(agent, [stream([0])])
        for number in range(2):
            backup(agent, [stream([0, 30 + number])])
    remove(made, [first])
    return made


def _copies(used: Made) -> Iterator[tuple[Made, Mortal]]:
    number = 0
    while True:
        number += 1
        store = Mortal(objects=dict(used.storage.objects))  # type: ignore[attr-defined]
        yield replace(used, storage=store, local=used.local.parent / f"copy{number}"), store


@pytest.mark.heavy
def test_whenever_it_is_killed_the_next_one_finishes(used: Made) -> None:
    before = read_all(used)
    copies = _copies(used)
    made, store = next(copies)
    clean(made)
    kinds = {name.partition("/")[0] for name in store.objects}
    left = {kind: _amount(store, kind) for kind in ("packs", "tombstones")}
    assert left["tombstones"] == 0
    for death in _deaths(store.changes):
        made, mortal = next(copies)
        mortal.left = death
        with suppress(KilledError), closing(made.as_owner()) as owner:
            prune(owner, Wishes(), Silent())
        mortal.left = 1_000_000
        assert read_all(made) == before, f"killed before change {death}"
        clean(made)
        assert {name.partition("/")[0] for name in mortal.objects} == kinds
        assert {kind: _amount(mortal, kind) for kind in left} == left, f"killed before change {death}"
        assert _amount(mortal, "index") < 4  # so few are not merged
        assert read_all(made) == before, f"killed before change {death}, and cleaned"


def _deaths(changes: list[str]) -> Iterator[int]:
    """Before each change that is of another kind than the one before it, and in the middle of each kind; from the
    registration on, before which there are trials of the store alone."""
    for number in range(changes.index("put runs"), len(changes)):
        if changes[number] != changes[number - 1] or changes[number - 2 : number] != [changes[number]] * 2:
            yield number


def _amount(store: MemoryStore, kind: str) -> int:
    return len([name for name in store.objects if name.startswith(f"{kind}/")])


def test_a_copy_of_the_store_is_one(used: Made) -> None:
    """What the test above relies on."""
    made, store = next(_copies(used))
    assert copy.copy(store.objects) == used.storage.objects  # type: ignore[attr-defined]
    assert read_all(made) == read_all(used)

"""A local state that is not what was written: increments over it are still what a full read gives."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from drtool.operations.backup.coverage import Coverage
from drtool.operations.backup.keeping import Pages
from drtool.repository.pages import LEAF, PageBuilder, PageRef, decode_bounds, encode_bounds
from tests.operations.memory import Host, MemorySource
from tests.repository.builders import Made, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An empty repository."""
    return make(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def host(made: Made) -> Iterator[Host]:
    """A host with a snapshot of one stream, of many chunks in some leaves."""
    source = MemorySource()
    chance = random.Random(3)
    for number in range(300):
        source.put("s", b"%06d" % (10 * number), chance.randbytes(120))
    with contextlib.closing(made.as_agent()) as repository:
        yield Host(repository, source)


def _touch(host: Host, number: int) -> None:
    host.source.put("s", b"%06d" % number, b"%08d" % host.source.views * 15)


def _check(host: Host, made: Made) -> None:
    """The newest snapshot is what the source holds, and what a full read gives."""
    records, roots = host.source.held["s"], host.roots()
    with contextlib.closing(made.as_owner()) as owner:
        owner.refresh_index()
        assert host.data(owner, "s") == b"".join(records[key] for key in sorted(records))
    host.backup(full=True)
    assert host.roots() == roots


def _alter(
    host: Host, column: str, alter: Callable[[bytes], object], *, leaves: bool, only: bytes | None = None
) -> int:
    """Write something else into a column of all leaves (or of one), or of all other pages; how many they were."""
    with contextlib.closing(sqlite3.connect(host.repository.state.path)) as connection, connection:
        rows = connection.execute(f"SELECT page, data, {column} FROM kept_pages").fetchall()
        rows = [(page, value) for page, data, value in rows if (data[0] == LEAF) == leaves and only in (None, page)]
        for page, value in rows:
            connection.execute(f"UPDATE kept_pages SET {column} = ? WHERE page = ?", (alter(value), page))
    return len(rows)


def _flipped(value: bytes) -> bytes:
    place = random.Random(value).randrange(8 * len(value))
    changed = bytearray(value)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def _shifted(value: bytes) -> bytes:
    """Bounds that are well formed and in order: each chunk begins after what was its first key."""
    bounds = decode_bounds(value)
    return encode_bounds([type(bound)(bound.first + b"\0", bound.last) for bound in bounds])


def test_bounds_that_read_well_are_not_believed(host: Host, made: Made) -> None:
    host.backup()
    assert _alter(host, "bounds", _shifted, leaves=True) > 3
    _touch(host, 1500)
    result = host.backup()
    assert "damaged" in result.full_because
    assert any(str(host.repository.state.path) in warning for warning in host.told.warnings)
    _check(host, made)


def test_first_keys_that_read_well_are_not_believed(host: Host, made: Made) -> None:
    host.backup()
    leaves = Pages(host.repository, mock.Mock(), "nightly", 0).leaves(host.roots()["s"])
    assert len(leaves) > 3
    # Each leaf but the first seems to begin later, so that what is written to its first record seems to be elsewhere.
    _alter(host, "first", lambda first: first + b"\0" if first > leaves[0].first else first, leaves=True)
    for leaf in leaves[1:]:
        _touch(host, int(leaf.first))
    assert "damaged" in host.backup().full_because
    _check(host, made)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize(
    ("column", "alter"),
    [
        *[(column, _flipped) for column in ("page", "first", "seal", "data", "bounds")],
        *[(column, alter) for column in ("first", "data") for alter in (lambda _: 7, lambda _: "text")],
    ],
)
def test_damage_costs_time_and_nothing_else(
    host: Host, made: Made, column: str, leaves: bool, alter: Callable[[bytes], object]
) -> None:
    host.backup()
    assert _alter(host, column, lambda value: alter(value) if value else value, leaves=leaves) > 0
    for number in (5, 1500, 2995):
        _touch(host, number)
    host.backup(check=0.2)
    _check(host, made)


def test_one_damaged_leaf_costs_that_leaf(host: Host, made: Made) -> None:
    whole = host.backup()
    leaves = Pages(host.repository, mock.Mock(), "nightly", 0).leaves(host.roots()["s"])
    leaf = [leaf for leaf in leaves if leaf.first <= b"001500"][-1]
    _alter(host, "bounds", _flipped, leaves=True, only=leaf.ref.id)
    host.told.warnings.clear()
    _touch(host, 1500)
    result = host.backup()
    assert result.incremental
    assert 0 < result.ranges.read < whole.ranges.total / 2
    [warning] = host.told.warnings
    assert f"the local state {host.repository.state.path} is damaged" in warning
    assert "what its damaged pages (1) stand for is read again" in warning
    _check(host, made)


def test_damage_that_only_the_building_of_pages_meets(host: Host, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    host.backup()
    _touch(host, 1500)
    host.told.warnings.clear()
    build, altered = Pages.build, list[int]()

    def damaged(self: Pages, coverage: Coverage) -> PageRef | None:
        if not altered:
            altered.append(_alter(host, "bounds", _flipped, leaves=True))
        return build(self, coverage)

    with monkeypatch.context() as patched:
        patched.setattr(Pages, "build", damaged)
        patched.setattr(PageBuilder, "begins_leaf", property(lambda _: False))  # so that it takes every leaf apart
        host.backup()
    assert len([warning for warning in host.told.warnings if "the local state" in warning]) == 1
    _check(host, made)


def test_packs_that_are_no_longer_noted_are_not_relied_on(host: Host, made: Made) -> None:
    host.pack_bytes = 10_000
    host.backup(full=True)
    state = host.repository.state
    noted = state.relied("nightly", host.newest().id)
    with contextlib.closing(sqlite3.connect(state.path)) as connection, connection:
        packs = connection.execute("SELECT max(pack) FROM relied WHERE snapshot = ?", (host.newest().id,))
        connection.execute("UPDATE relied SET job = 'nightlx' WHERE pack = ?", packs.fetchone())
    assert noted
    assert state.relied("nightly", host.newest().id) is None
    assert "does not know" in host.backup().full_because
    _check(host, made)


def test_what_is_not_touched_is_not_taken_apart(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.backup(full=True)
    monkeypatch.setattr(Pages, "expand", None)
    assert host.backup().incremental

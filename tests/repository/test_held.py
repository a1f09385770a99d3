"""What a host holds of the small objects that it has read, and that a listing never differs for it."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import DrtoolError, RepositoryError, UnknownSignerError
from drtool.repository import held
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import reached, record
from drtool.repository.held import HeldObjects
from drtool.repository.levels import Level
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.storage.base import ObjectInfo
from drtool.storage.counting import RequestCount
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import Made, commit, flipped, make, put_removal
from tests.repository.victims import evidence_of

KEY = b"k" * 32


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A repository of its own: examples of one test share it, and clear it."""
    return make(tmp_path_factory.mktemp("shelf"))


def _content(made: Made) -> dict[str, Sequence[bytes]]:
    """Names, and what may lie there: two objects as they should be, one bad in each way."""
    owner = made.as_owner("sealing")
    found: dict[str, Sequence[bytes]] = {}
    for number in range(3):
        name = f"evidence/20261121t02000{number}z-0000000000"
        one, two = (owner.seal(Kind.EVIDENCE, name, word) for word in (b'{"a": 1}', b'{"b": 2}'))
        found[name] = (one, two, flipped(one, 70), b"x" * len(one), one[:-1])
    owner.close()
    return found


def _seen(repository: Repository) -> list[tuple[str, object]]:
    """What a listing gives, opened where that can be done."""

    def outcome(name: str, data: bytes | DrtoolError | None) -> object:
        if not isinstance(data, bytes):
            return repr(data)
        try:
            return data, repository.open_object(Kind.EVIDENCE, name, data)
        except DrtoolError as error:
            return data, error.message

    return [(name, outcome(name, data)) for name, data in repository.listing("evidence/")]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 2), st.integers(0, 4)),
        st.tuples(st.just("delete"), st.integers(0, 2), st.just(0)),
        st.tuples(st.sampled_from(["look", "reopen"]), st.just(0), st.just(0)),
    ),
    max_size=10,
)


@settings(max_examples=30)
@given(steps=STEPS)
def test_a_listing_is_the_same_with_and_without_what_is_held(shelf: Made, steps: list[tuple[str, int, int]]) -> None:
    content = _content(shelf)
    names = sorted(content)
    for name in names:
        shelf.storage.delete(name)
    warm = shelf.as_agent("warm")
    try:
        for step, which, version in [*steps, ("look", 0, 0), ("look", 0, 0)]:
            if step == "put":
                shelf.storage.put(names[which], content[names[which]][version])
            elif step == "delete":
                shelf.storage.delete(names[which])
            elif step == "reopen":
                warm.close()
                warm = shelf.as_agent("warm")
            else:
                with _opened(shelf, "cold", from_store=True) as cold:
                    assert _seen(warm) == _seen(cold)
    finally:
        warm.close()


@contextmanager
def _opened(made: Made, host: str, requests: RequestCount | None = None, **options: Any) -> Iterator[Repository]:
    storage = made.storage if requests is None else requests.of(made.storage)
    local = made.local / host
    repository = Repository.open(
        storage, agent=made.agent, identity=None, state_dir=local / "state", cache_dir=local / "cache", **options
    )
    try:
        yield repository
    finally:
        repository.close()


def _filled(made: Made) -> None:
    agent, owner = made.as_agent(), made.as_owner()
    snapshots = [commit(agent) for _ in range(5)]
    for snapshot in snapshots:
        record(owner, evidence_of(snapshot.hash, Level.READABLE), owner.signer)
    put_removal(owner, snapshots[:1], owner.signer)
    agent.close()
    owner.close()


def _requests(made: Made, host: str, **options: Any) -> dict[str, int]:
    requests = RequestCount()
    with _opened(made, host, requests, **options) as repository:
        catalogue, (levels, problems) = read_catalogue(repository), reached(repository)
        assert not catalogue.problems
        assert not problems
        assert len(catalogue.snapshots) == 4
        assert len(levels) == 5
    return requests.kinds


def test_what_is_held_is_not_read_again(made: Made) -> None:
    _filled(made)
    cold = _requests(made, "host2")
    warm = _requests(made, "host2")
    assert cold["get"] == 1 + 4 + 5 + 1
    assert warm["get"] == 1  # repository.json
    assert warm["list"] == cold["list"]
    assert _requests(made, "host2", from_store=True) == cold


def test_what_vanished_from_the_store_is_dropped(made: Made) -> None:
    _filled(made)
    _requests(made, "host2")
    file = made.local / "host2" / "cache" / made.agent.repository.hex() / "objects.sqlite"
    assert file.stat().st_mode & 0o777 == 0o600
    for info in list(made.storage.list("evidence/")):
        made.storage.delete(info.name)
    with _opened(made, "host2") as repository:
        reached(repository)
    with sqlite3.connect(file) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM held ORDER BY name")]
    connection.close()
    assert names == [info.name for info in made.storage.list("removals/")] + [
        info.name for info in made.storage.list("snapshots/")
    ]


def test_an_object_swapped_unseen_is_told_from_the_store_only(made: Made) -> None:
    _filled(made)
    _requests(made, "host2")
    name = next(info.name for info in made.storage.list("snapshots/"))
    path = Path(made.storage.url) / name
    status = path.stat()
    path.write_bytes(flipped(path.read_bytes(), 80))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _requests(made, "host2")["get"] == 1  # what is listed as it was is what its signer wrote
    with _opened(made, "host2", from_store=True) as repository:
        problems = read_catalogue(repository).problems
    assert any(name in problem.message for problem in problems)


def test_a_signer_who_lost_the_role_is_refused_all_the_same(made: Made) -> None:
    _filled(made)
    _requests(made, "host2")
    document = made.document()
    made.publish(signers=tuple(replace(signer, roles=frozenset()) for signer in document.signers))
    with _opened(made, "host2") as repository:
        problems = read_catalogue(repository).problems
    assert sum(isinstance(problem, UnknownSignerError) for problem in problems) == 4 + 1


def test_a_listing_needs_no_cache(made: Made) -> None:
    _filled(made)
    cold = _requests(made, "host2")
    (made.local / "host3").mkdir()
    (made.local / "host3" / "cache").write_text("no directory")
    for _ in range(2):
        assert _requests(made, "host3") == cold
    with _opened(made, "host3") as repository, pytest.raises(RepositoryError, match="index cache"):
        repository.refresh_index()


# --- the file ----------------------------------------------------------------------------


def _info(store: DirectoryStorage, name: str) -> ObjectInfo:
    return store.put(name, b"sealed " + name.encode())


def _keep(objects: HeldObjects, info: ObjectInfo) -> bytes:
    data = b"sealed " + info.name.encode()
    objects.read(info, data)
    objects.proved(Kind.EVIDENCE, info.name, data)
    objects.keep()
    return data


@pytest.fixture
def info(tmp_path: Path) -> ObjectInfo:
    """An object as a store lists it."""
    return _info(DirectoryStorage(tmp_path / "store"), "evidence/a")


def test_holds_what_was_proved_only(tmp_path: Path, info: ObjectInfo) -> None:
    objects = HeldObjects(tmp_path / "objects.sqlite", KEY)
    objects.read(info, b"read")
    objects.proved(Kind.EVIDENCE, info.name, b"another")
    objects.proved(Kind.EVIDENCE, "evidence/never-read", b"read")
    objects.keep()
    assert objects.find([info]) == {}
    data = _keep(objects, info)
    assert not objects.vouches(Kind.EVIDENCE, info.name, data)
    assert objects.find([info]) == {info.name: data}
    assert objects.vouches(Kind.EVIDENCE, info.name, data)
    assert not objects.vouches(Kind.PIN, info.name, data)
    assert not objects.vouches(Kind.EVIDENCE, info.name, data + b"x")
    objects.close()


@pytest.mark.parametrize(
    "change",
    [{"size": 1}, {"etag": "other"}, {"version": "v2"}, {"name": "evidence/b"}],
    ids=lambda change: next(iter(change)),
)
def test_what_is_listed_otherwise_is_not_found(tmp_path: Path, info: ObjectInfo, change: dict[str, Any]) -> None:
    objects = HeldObjects(tmp_path / "objects.sqlite", KEY)
    _keep(objects, info)
    assert objects.find([replace(info, **change)]) == {}
    objects.close()


@pytest.mark.parametrize("column", ["data", "mark", "listed"])
def test_an_altered_row_is_not_found(tmp_path: Path, info: ObjectInfo, column: str) -> None:
    path = tmp_path / "objects.sqlite"
    objects = HeldObjects(path, KEY)
    _keep(objects, info)
    objects.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE held SET {column} = CAST({column} || 'x' AS BLOB)")
    connection.close()
    assert HeldObjects(path, KEY).find([info]) == {}


def test_only_who_has_the_key_marks(tmp_path: Path, info: ObjectInfo) -> None:
    path = tmp_path / "objects.sqlite"
    objects = HeldObjects(path, b"another key".ljust(32))
    _keep(objects, info)
    objects.close()
    assert HeldObjects(path, KEY).find([info]) == {}


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_made_anew(tmp_path: Path, info: ObjectInfo, content: bytes) -> None:
    path = tmp_path / "objects.sqlite"
    path.write_bytes(content)
    for _ in range(2):
        objects = HeldObjects(path, KEY)
        data = _keep(objects, info)
        objects.close()
    assert HeldObjects(path, KEY).find([info]) == {info.name: data}


def test_a_file_damaged_later_goes_and_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "objects.sqlite"
    store = DirectoryStorage(tmp_path / "store")
    infos = [_info(store, f"evidence/{number:03}") for number in range(100)]
    objects = HeldObjects(path, KEY)
    for info in infos:
        _keep(objects, info)
    objects.close()
    objects = HeldObjects(path, KEY)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert objects.find(infos) == {}
    objects.close()
    assert not path.exists()
    objects = HeldObjects(path, KEY)
    assert list(objects.find([infos[0]])) == []
    _keep(objects, infos[0])
    assert list(objects.find(infos)) == [infos[0].name]
    objects.close()


def test_without_a_place_nothing_is_held(tmp_path: Path, info: ObjectInfo) -> None:
    (tmp_path / "file").write_text("")
    objects = HeldObjects(tmp_path / "file" / "objects.sqlite", KEY)
    _keep(objects, info)
    assert objects.find([info]) == {}
    objects.drop_others("evidence/", [])
    objects.close()


def test_a_full_disk_ends_holding_not_listing(tmp_path: Path) -> None:
    store = DirectoryStorage(tmp_path / "store")
    objects = HeldObjects(tmp_path / "objects.sqlite", KEY)
    first = _info(store, "evidence/000")
    _keep(objects, first)
    assert objects._connection is not None
    pages = objects._connection.execute("PRAGMA page_count").fetchone()[0]
    objects._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = store.put("evidence/large", b"x" * 100_000)
    objects.read(large, b"x" * 100_000)
    objects.proved(Kind.EVIDENCE, large.name, b"x" * 100_000)
    objects.keep()
    assert objects.find([first, large]) == {}
    objects.close()
    assert list(HeldObjects(tmp_path / "objects.sqlite", KEY).find([first, large])) == [first.name]


def test_a_large_file_takes_no_more(tmp_path: Path, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_LARGEST_FILE", 1)
    objects = HeldObjects(tmp_path / "objects.sqlite", KEY)
    _keep(objects, info)
    assert objects.find([info]) == {}
    objects.close()


def test_a_file_that_is_locked_is_left_alone(tmp_path: Path, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_PATIENCE", 0.0)
    path = tmp_path / "objects.sqlite"
    first, second = HeldObjects(path, KEY), HeldObjects(path, KEY)
    data = _keep(first, info)
    assert second._connection is not None
    second._connection.execute("BEGIN IMMEDIATE")
    first.drop_others("evidence/", [])
    first.close()
    assert second.find([info]) == {info.name: data}
    second.close()


def _fill(path: Path, store: Path, first: int) -> None:
    objects = HeldObjects(path, KEY)
    for number in range(first, first + 20):
        _keep(objects, _info(DirectoryStorage(store), f"evidence/{number:03}"))
    objects.close()


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    path, store = tmp_path / "objects.sqlite", tmp_path / "store"
    store.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fill, args=(path, store, first)) for first in (0, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    listed = list(DirectoryStorage(store).list("evidence/"))
    assert len(HeldObjects(path, KEY).find(listed)) == 40

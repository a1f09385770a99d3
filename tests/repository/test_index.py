"""Index objects and their local copy."""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError, RepositoryError, TamperedError
from drtool.repository import refreshing
from drtool.repository.cache import IndexCache
from drtool.repository.index import NOBODY, decode_index, encode_index, index_name
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import PackEntry, Row
from drtool.repository.primitives import SigningKey
from drtool.repository.trust import Role
from tests.repository.builders import Made, Stream, backup, flipped, objects


def _entry(number: int, indexed_by: bytes = b"W" * 32, rows: int = 3) -> PackEntry:
    made = tuple(
        Row(bytes([number, row]) * 16, ChunkKind.DATA, 0, row, 100 * row, 100, 200 + row) for row in range(rows)
    )
    return PackEntry(bytes([number]) * 32, 1000 + number, 27, indexed_by, made)


def _index(made: Made, entries: list[PackEntry], signer: SigningKey) -> bytes:
    return encode_index(entries, made.agent.keyring, signer, made.agent.repository)


def test_a_writer_vouches_for_its_own_packs_only(made: Made) -> None:
    key = made.agent.signing_key
    data = _index(made, [_entry(1, b"V" * 32), _entry(2, key.public)], key)
    found = decode_index(data, index_name(data), made.agent.keyring, made.document())
    assert [entry.indexed_by for entry in found] == [NOBODY, key.public]
    assert [replace(entry, indexed_by=b"") for entry in found] == [_entry(1, b""), _entry(2, b"")]


def test_a_maintainer_keeps_who_indexed_what(made: Made) -> None:
    data = _index(made, [_entry(1, b"V" * 32), _entry(2, b"W" * 32)], made.identity.verifier_key)
    found = decode_index(data, index_name(data), made.agent.keyring, made.document())
    assert found == [_entry(1, b"V" * 32), _entry(2, b"W" * 32)]


def test_a_verifier_indexes_nothing(made: Made) -> None:
    verifier = made.enrol("verifier", Role.VERIFIER)
    data = _index(made, [_entry(1)], verifier.signing_key)
    with pytest.raises(TamperedError):
        decode_index(data, index_name(data), made.agent.keyring, made.document())


def test_an_index_object_lies_under_its_hash(made: Made) -> None:
    data = _index(made, [_entry(1)], made.agent.signing_key)
    with pytest.raises(DamagedObjectError, match="a name that is not its own"):
        decode_index(data, "index/" + "00" * 32, made.agent.keyring, made.document())
    bad = flipped(data, 100)
    with pytest.raises(DamagedObjectError):
        decode_index(bad, index_name(bad), made.agent.keyring, made.document())


def test_one_bad_index_object_does_not_hide_the_others(made: Made) -> None:
    writer = made.as_agent()
    backup(writer, [Stream("a", (b"chunk" * 9,))])
    bad = flipped(next(iter(objects(made.storage, "index/").values())), 60)
    made.storage.put(index_name(bad), bad)
    made.storage.put("index/garbage", b"garbage")
    made.storage.put("index/" + "ab" * 32, next(iter(objects(made.storage, "index/").values())))
    reader = made.as_agent("host2")
    problems = reader.refresh_index()
    assert len(problems) == 3
    assert {problem.message.split()[0] for problem in problems} >= {index_name(bad), "index/garbage"}
    assert [pack for pack, _ in reader.cache.packs()] == [pack for pack, _ in writer.cache.packs()]


# --- the local copy ----------------------------------------------------------------------


def test_cache_add_and_drop(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path / "made" / "index.sqlite")
    one, two = _entry(1), _entry(2)
    cache.add("index/a", [one, two])
    cache.add("index/a", [one])
    cache.add("index/b", [replace(one, indexed_by=b"V" * 32)])
    assert cache.object_names() == {"index/a", "index/b"}
    assert sorted(cache.packs()) == [(one.sha256, one.size), (two.sha256, two.size)]
    found = cache.locations(one.rows[1].id)
    assert [location.indexed_by for location in found] == [b"W" * 32, b"V" * 32]
    assert {(location.pack, location.pack_size, location.pack_header) for location in found} == {(one.sha256, 1001, 27)}
    row = one.rows[1]
    assert (found[0].kind, found[0].slot, found[0].counter) == (row.kind, row.slot, row.counter)
    assert (found[0].offset, found[0].stored, found[0].length) == (row.offset, row.stored, row.length)
    assert cache.rows(two.sha256) == list(two.rows)
    cache.drop(["index/a", "index/unknown"])
    assert [location.indexed_by for location in cache.locations(row.id)] == [b"V" * 32]
    assert cache.locations(two.rows[0].id) == []
    assert cache.object_names() == {"index/b"}
    cache.close()


def test_cache_tells_ids_apart_that_begin_alike(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path / "index.sqlite")
    begin = b"\xff" * 8
    rows = [replace(row, id=begin + bytes([row.counter]) * 24) for row in _entry(1).rows]
    rows.append(replace(rows[0], counter=3, offset=300))  # the same chunk once more
    cache.add_all([("index/a", [replace(_entry(1), rows=tuple(rows))]), ("index/b", [_entry(2)])])
    assert [place.counter for place in cache.locations(rows[0].id)] == [0, 3]
    assert [place.counter for place in cache.locations(rows[1].id)] == [1]
    assert cache.locations(begin + bytes([9]) * 24) == []
    assert cache.rows(_entry(1).sha256) == rows
    cache.drop(["index/a"])
    assert cache.locations(rows[0].id) == []
    assert cache.rows(_entry(2).sha256) == list(_entry(2).rows)
    cache.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc"), st.frozensets(st.integers(1, 4))),
        st.tuples(st.just("drop"), st.sampled_from("abc"), st.just(frozenset[int]())),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps=STEPS)
def test_cache_holds_what_its_objects_say(steps: list[tuple[str, str, frozenset[int]]]) -> None:
    # Packs 3 and 4 hold the chunks of 1 and 2.
    pool = {number: replace(_entry(number), rows=_entry(1 + (number - 1) % 2).rows) for number in range(1, 5)}
    told: dict[str, list[PackEntry]] = {}
    with tempfile.TemporaryDirectory() as directory:
        cache = IndexCache(Path(directory) / "index.sqlite")
        for step, name, numbers in steps:
            entries = [pool[number] for number in sorted(numbers)]
            if step == "add":
                cache.add_all([(name, entries), (name, [pool[1]])])
                told.setdefault(name, entries)
            else:
                cache.drop([name])
                told.pop(name, None)
        assert cache.object_names() == told.keys()
        every = [entry for entries in told.values() for entry in entries]
        assert sorted(cache.packs()) == sorted({(entry.sha256, entry.size) for entry in every})
        for entry in pool.values():
            assert sorted(cache.objects_with(entry.sha256)) == sorted(n for n, those in told.items() if entry in those)
            assert cache.rows(entry.sha256) == (list(entry.rows) if entry in every else [])
            for row in entry.rows:
                there = [one.sha256 for one in every if row in one.rows]
                assert sorted(place.pack for place in cache.locations(row.id)) == sorted(there)
        cache.close()


def test_the_index_is_read_in_parts(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = made.as_agent()
    for number in range(3):
        backup(writer, [Stream("a", (b"chunk %d" % number * 9,))])
    monkeypatch.setattr(refreshing, "_AT_ONCE_BYTES", 1)
    reader = made.as_agent("host2")
    told: list[tuple[int, int]] = []
    assert reader.refresh_index(lambda done, total: told.append((done, total))) == []
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert reader.cache.object_names() == writer.cache.object_names() == set(objects(made.storage, "index/"))
    assert sorted(reader.cache.packs()) == sorted(writer.cache.packs())


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(content)
    cache = IndexCache(path)
    cache.add("index/a", [_entry(1)])
    cache.close()
    assert IndexCache(path).object_names() == {"index/a"}


def test_a_cache_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("CREATE TABLE objects (other TEXT)")
    assert IndexCache(path).object_names() == set()


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="cannot be used") as caught:
        IndexCache(tmp_path / "file" / "index.sqlite").object_names()
    assert "removed at any time" in caught.value.hint


def test_a_locked_cache_is_left_to_whoever_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index.sqlite"
    cache = IndexCache(path)
    cache.add("index/a", [_entry(1)])
    connect = sqlite3.connect

    def impatient(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, timeout=0)
        connection.execute("PRAGMA user_version")
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite3, "connect", impatient)
    with pytest.raises(RepositoryError, match="locked"):
        IndexCache(path).object_names()
    assert cache.object_names() == {"index/a"}


def _fill(path: Path, first: int) -> None:
    cache = IndexCache(path)
    for number in range(first, first + 20):
        cache.add(f"index/{number}", [_entry(number % 250)])
        cache.add("index/shared", [_entry(250)])
    cache.close()


@pytest.mark.heavy
def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fill, args=(path, first)) for first in (0, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    cache = IndexCache(path)
    assert len(cache.object_names()) == 41
    assert len(cache.locations(_entry(250).rows[0].id)) == 1


def test_rows_of_vanished_index_objects_are_dropped(made: Made) -> None:
    repository = made.as_agent()
    backup(repository, [Stream("a", (b"chunk" * 9,))])
    for name in objects(made.storage, "index/"):
        made.storage.delete(name)
    assert list(repository.cache.packs())
    assert repository.refresh_index() == []
    assert list(repository.cache.packs()) == []

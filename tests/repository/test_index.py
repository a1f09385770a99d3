"""Index objects and their local copy."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import DamagedObjectError, RepositoryError, TamperedError
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
    cache.forget_pack(one.sha256)
    assert cache.locations(row.id) == []
    cache.close()


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
        IndexCache(tmp_path / "file" / "index.sqlite")
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
        IndexCache(path)
    assert cache.object_names() == {"index/a"}


def _fill(path: Path, first: int) -> None:
    cache = IndexCache(path)
    for number in range(first, first + 20):
        cache.add(f"index/{number}", [_entry(number % 250)])
        cache.add("index/shared", [_entry(250)])
    cache.close()


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

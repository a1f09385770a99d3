"""Increments and rounds of MongoDB: the snapshot is, page for page, that of a full read at the same instant."""

from __future__ import annotations

import contextlib
import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import bson
import pytest
from bson import Binary, Int64, ObjectId
from bson.decimal128 import Decimal128
from bson.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import OperationFailure

from drtool.errors import WindowPassedError
from drtool.repository.chain import read_catalogue
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.insertion import scattered
from drtool.sources.mongodb.loading import split_documents
from drtool.sources.mongodb.server import ServerOptions, running
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import KeyRange, StreamInfo
from tests.operations.memory import Host, small_chunks
from tests.operations.site import Site, connect, fill, flip, hashes
from tests.repository.builders import make
from tests.sources.mongo import Client, insert_raw, source_of, unique_database

_TOO_OLD = 239
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
KEYS: dict[str, Callable[[int], Any]] = {
    "objectid": lambda n: ObjectId(f"{n * 7919:024x}"),
    "string": lambda n: f"key {n * 7919 % 1000:04d}",
    "numbers": lambda n: (n, Int64(n), float(n) + 0.5, Decimal128(f"{n}.25"))[n % 4],
    "uuid": lambda n: Binary.from_uuid(uuid.UUID(int=n * (1 << 100))),
    "date": lambda n: _EPOCH + timedelta(seconds=n),
    "mixed": lambda n: (n, f"{n}", ObjectId(f"{n:024x}"), n % 2 == 0, None)[min(4, n % 7)] if n > 5 else n,
}
"""By collection: the ids it has."""
_write = st.tuples(st.sampled_from(sorted(KEYS)), st.integers(0, 120), st.none() | st.integers(1, 400))
_batch = st.lists(_write, max_size=12)


def _apply(client: Client, database: str, writes: Sequence[tuple[str, int, int | None]], *, together: bool) -> None:
    """Insert, alter and delete; in one transaction if `together`."""
    with client.start_session() as session, contextlib.ExitStack() as stack:
        if together:
            stack.enter_context(session.start_transaction())
        for collection, number, size in writes:
            id_ = KEYS[collection](number)
            one: Any = DeleteOne({"_id": id_})
            if size is not None:
                one = ReplaceOne({"_id": id_}, {"_id": id_, "x": random.Random(size).randbytes(size)}, upsert=True)
            client[database][collection].bulk_write([one], session=session if together else None)


@pytest.fixture(scope="module")
def filled(client: Client) -> Iterator[str]:
    """A database with a collection for each type of id, of many (small) chunks."""
    name = unique_database(client)
    for collection, key in KEYS.items():
        ids = {repr(key(number)): key(number) for number in range(0, 120, 2)}
        client[name][collection].insert_many([{"_id": id_, "x": bytes(60)} for id_ in ids.values()])
    yield name
    client.drop_database(name)


def _same_as_full(host: Host) -> None:
    roots = host.roots()
    assert host.backup(full=True).full_because == "asked for (--full)"
    assert host.roots() == roots


@contextlib.contextmanager
def _sorting() -> Iterator[mock.Mock]:
    """Inside, collections count as large, not in the server's cache, and scattered; with what reads them so."""
    always = mock.patch.multiple(scattered, _LEAST_BYTES=0, _CACHED=float("inf"), lies_anywhere=lambda *_: True)
    with always, mock.patch.object(scattered, "read", side_effect=scattered.read) as read:
        yield read


@settings(max_examples=5)
@given(
    batches=st.lists(st.tuples(_batch, st.booleans()), min_size=1, max_size=2),
    passes=st.integers(0, 40),
    sort=st.booleans(),
)
def test_an_increment_is_a_full_read(
    tmp_path_factory: pytest.TempPathFactory,
    client: Client,
    uri: str,
    filled: str,
    batches: list[tuple[list[tuple[str, int, int | None]], bool]],
    passes: int,
    sort: bool,
) -> None:
    """Nothing is written between the increment and the full read, so both see the same records at their instants."""
    host = Host(make(tmp_path_factory.mktemp("law")).as_agent(), source_of(uri, filled, part_bytes=2_000))
    with _sorting() if sort else contextlib.nullcontext():
        host.backup()
        for writes, together in batches:
            _apply(client, filled, writes, together=together)
            with _window(lambda view: passes if view == 1 and passes else None):
                assert host.backup(check=0.1).incremental
    _same_as_full(host)
    host.repository.close()


def test_where_most_changed_all_is_sorted(tmp_path: Path, client: Client, uri: str, database: str) -> None:
    """Ranges one by one would cost the server more; where little changed it is the ranges."""
    chance = random.Random(1)
    ids = [Binary(chance.randbytes(16), 4) for _ in range(400)]
    client[database].c.insert_many([{"_id": each, "x": bytes(60)} for each in ids])
    host = Host(make(tmp_path).as_agent(), source_of(uri, database, part_bytes=2_000))
    with _sorting() as read:
        host.backup()
        assert read.call_count == 2
        client[database].c.update_one({"_id": ids[0]}, {"$set": {"x": b"other"}})
        assert host.backup().incremental
        assert read.call_count == 2
        most = sorted(ids, key=bytes)[300]
        client[database].c.update_many({"_id": {"$lt": most}}, {"$set": {"y": 1}})
        assert "most ranges changed" in host.backup().full_because
        assert read.call_count == 4
        stored = host.backup(full=True)
        assert read.call_count == 6
        assert stored.new_chunks == 0
    _same_as_full(host)
    host.repository.close()


@contextlib.contextmanager
def _window(chunks: Callable[[int], int | None], meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Inside, a view's instant passes after so many chunks (by the view's number, from 1; None: never)."""
    left: dict[int, int | None] = {}
    real = MongoView.chunks

    def read(view: MongoView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        if id(view) not in left:
            kept.append(view)
            left[id(view)] = chunks(len(kept))
        for chunk in real(view, stream, part, rule):
            rest = left[id(view)]
            if rest is not None and stream.kind != "oplog":
                left[id(view)] = rest - 1
                if rest == 1:
                    meanwhile()
                if rest <= 1:
                    raise WindowPassedError("the server's window passed")
            yield chunk

    kept: list[MongoView] = []
    with mock.patch.object(MongoView, "chunks", read):
        yield


def test_rounds_while_everything_changes(site: Site, client: Client, database: str) -> None:
    """Inserts, updates, deletes, transactions, drops, renames and index builds between the rounds."""
    chance = random.Random(4)
    base = client[database]
    for name in ("a", "b", "gone", "moved"):
        base[name].insert_many([{"_id": n, "x": chance.randbytes(500)} for n in range(200)])
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: base.gone.drop(),
            lambda: base.moved.rename("elsewhere"),
            lambda: base.a.create_index("x"),
            lambda: _transaction(client, database),
            lambda: base.fresh.insert_one({"_id": 1}),
        ]
    )

    def meanwhile() -> None:
        base.a.update_one({"_id": chance.randrange(200)}, {"$set": {"x": chance.randbytes(300)}})
        base.b.insert_one({"_id": 200 + chance.randrange(10**6)})
        base.b.delete_one({"_id": chance.randrange(200)})
        next(steps, lambda: None)()

    with small_chunks(), _window(lambda view: 90 if view < 12 else None, meanwhile):
        line = site.backup()
    assert line["consistency"] == "exact"
    assert sorted(s["name"].partition(".")[2] for s in site.ok("show", "latest")[:-1]) == [
        "a", "b", "elsewhere", "fresh",
    ]  # fmt: skip
    with small_chunks():
        site.ok("verify", "latest", "--level", "restored")
    site.ok("restore", "latest", "--rename", f"{database}={database}_back")
    assert hashes(client, f"{database}_back") == hashes(client, database)


def _transaction(client: Client, database: str) -> None:
    with client.start_session() as session, session.start_transaction():
        for number in (5, 100, 199):
            client[database].a.update_one({"_id": number}, {"$set": {"t": 1}}, session=session)


@pytest.mark.heavy
def test_a_server_with_a_short_window(tmp_path: Path) -> None:
    """The server itself gives up the instant: readers are held up until it does."""
    options = ServerOptions(replica_set="short", parameters={"minSnapshotHistoryWindowInSeconds": "1"})
    with running(find_mongod(), options) as server, connect(server.uri) as client:
        chance = random.Random(6)
        # So much that after three chunks, however they fall, more than one reply is still to come.
        client.app.c.insert_many([{"_id": n, "x": chance.randbytes(5000)} for n in range(3000)])
        site = Site(tmp_path, server.uri, {"nightly": ("app",)}).set_up()
        real = MongoView.chunks
        moved: list[MongoView] = []

        def read(view: MongoView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
            for number, chunk in enumerate(real(view, stream, part, rule)):
                yield chunk
                if number == 2 and len(moved) < 2:
                    moved.append(view)
                    _let_pass(client, view)

        with mock.patch.object(MongoView, "chunks", read):
            line = site.backup()
        assert (line["consistency"], line["records"]) == ("exact", client.app.c.count_documents({}))
        assert len(moved) == 2
        site.ok("restore", "latest", "--rename", "app=back")
        assert hashes(client, "back") == hashes(client, "app")


def _let_pass(client: Client, view: MongoView) -> None:
    """Write until the server no longer reads at the view's instant."""
    seconds, increment = view.point["cluster_time"]
    concern = {"level": "snapshot", "atClusterTime": Timestamp(seconds, increment)}
    for number in itertools.count():
        client.app.c.update_one({"_id": number % 3000}, {"$set": {"n": number}})
        client.app.c.insert_one({"_id": 10_000 + client.app.c.estimated_document_count() * 1000 + number})
        try:
            client.app.command({"find": "c", "limit": 1, "readConcern": concern})
        except OperationFailure as error:
            if error.code != _TOO_OLD:
                raise
            return


@pytest.mark.heavy
def test_an_overlay_is_replayed(site: Site, client: Client, database: str) -> None:
    """Faster than it can be read: what happened meanwhile travels along, and a restore does it again."""
    chance = random.Random(9)
    base = client[database]
    for name in ("busy", "calm"):
        base[name].insert_many([{"_id": n, "x": chance.randbytes(500)} for n in range(160)])
    base.busy.create_index("n")
    numbers = itertools.count()

    def meanwhile() -> None:
        value = next(numbers)
        base.busy.update_many({"_id": {"$mod": [3, 0]}}, {"$set": {"n": value}})
        base.busy.delete_one({"_id": 3 * value + 1})
        base.busy.insert_one({"_id": 1000 + value, "late": True})
        _transaction_in(client, database, value)

    with small_chunks(), _window(lambda view: 50, meanwhile):
        line = site.backup()
    assert line["consistency"] == "overlay"
    shown = {s["name"]: s["consistency"] for s in site.ok("show", "latest")[:-1]}
    assert shown == {f"{database}.busy": "overlay", f"{database}.calm": "exact", "$oplog": "overlay"}
    refused = site.drtool("restore", "latest", "--only", "$oplog")
    assert refused.code == 2
    with small_chunks():
        [verified, _] = site.ok("verify", "latest", "--level", "restored")
    assert verified["ok"]
    back = site.ok("restore", "latest", "--rename", f"{database}={database}_back")[-1]
    assert hashes(client, f"{database}_back") == hashes(client, database)
    assert back["replayed"] > 0
    assert back["records"] == sum(base[name].count_documents({}) for name in ("busy", "calm"))
    told = site.told("restore", "latest", "--rename", f"{database}={database}_again")
    assert f" and replayed {back['replayed']:,} operations to" in told.out
    # An overlay is nothing to start from.
    with small_chunks():
        assert "overlay" in site.backup()["full_because"]
        assert site.backup()["incremental"]


@pytest.mark.heavy
def test_an_exported_overlay_is_plain(site: Site, client: Client, database: str, tmp_path: Path) -> None:
    """Who takes entries as they are gets the same: names that meant something else meanwhile, collections gone."""
    base = client[database]
    for name in ("busy", "a", "gone"):
        base[name].insert_many([{"_id": n, "from": name, "x": bytes(500)} for n in range(160)])
    numbers = itertools.count()

    def meanwhile() -> None:
        value = next(numbers)
        base.busy.update_many({"_id": {"$mod": [3, 0]}}, {"$set": {"n": value}})
        if value == 9:
            with client.start_session() as session, session.start_transaction():
                for name in ("gone", "busy"):
                    base[name].update_one({"_id": 3}, {"$set": {"t": 1}}, session=session)
            base.gone.drop()
            base.a.update_one({"_id": 1}, {"$set": {"as": "a"}})
            base.a.rename("gone")
            base.a.insert_many([{"_id": n, "new": True} for n in range(50)])

    with small_chunks(), _window(lambda view: 50, meanwhile):
        assert site.backup()["consistency"] == "overlay"
    truth = hashes(client, database)
    site.ok("export", "latest", str(tmp_path / "dump"))
    client.drop_database(database)
    for name in ("busy", "a", "gone"):
        insert_raw(base, name, split_documents((tmp_path / "dump" / database / f"{name}.bson").read_bytes()))
    for entry in map(bson.decode, split_documents((tmp_path / "dump" / "oplog.bson").read_bytes())):
        assert entry["op"] in ("i", "u", "d")
        fields = {key: value for key, value in entry.items() if key in ("op", "ns", "o", "o2")}
        client.admin.command({"applyOps": [fields]})
    assert hashes(client, database) == truth


def _transaction_in(client: Client, database: str, value: int) -> None:
    with client.start_session() as session, session.start_transaction():
        client[database].busy.update_one({"_id": 2}, {"$set": {"t": value}}, session=session)
        client[database].busy.insert_one({"_id": 5000 + value}, session=session)


def test_intact_failures_are_not_relied_on(site: Site, client: Client, database: str) -> None:
    """Level `intact` may not put a pack on the distrust list, but this host knows."""
    fill(client, database, megabytes=2)
    site.backup()
    assert site.backup()["incremental"]
    victim = max(site.objects("packs"), key=lambda path: path.stat().st_size)
    flip(victim)
    assert site.drtool("verify", "latest", "--level", "intact").code == 4
    assert site.objects("distrust") == []
    again = site.backup()
    assert "may not rely on" in again["full_because"]
    assert again["chunks"]["new"] > 0
    assert site.ok("verify", "latest", "--level", "intact")[0]["ok"]
    assert site.backup()["incremental"]


def test_what_a_backup_tells(site: Site, client: Client, database: str) -> None:
    client[database].c.insert_many([{"_id": n, "x": random.Random(n).randbytes(2000)} for n in range(3000)])
    first = site.backup()
    assert (first["incremental"], first["full_because"]) == (False, "first snapshot of the job")
    client[database].c.update_one({"_id": 10}, {"$set": {"n": 1}})
    told = site.told("backup")
    total = first["ranges"]["total"]
    assert f"incremental: 1 of {total} ranges read, 1 checked" in told.out
    shown = site.ok("show", "latest")[-1]
    assert shown["bytes"]["read"] < shown["bytes"]["total"]
    assert shown["base"] == first["snapshot"]
    assert "increment    of " in site.told("show", "latest").out
    full = site.backup("--full")
    assert (full["incremental"], full["full_because"]) == (False, "asked for (--full)")
    assert full["ranges"] == {"total": total, "read": total, "checked": 0}
    assert full["bytes"]["new"] == 0
    assert site.backup()["suspect"] == []


def test_two_jobs_keep_their_own_pages(make_site: Callable[..., Site], client: Client, database: str) -> None:
    client[database].c.insert_many([{"_id": n, "x": random.Random(n).randbytes(2000)} for n in range(1000)])
    site = make_site(one=(database,), two=(database,))
    for _ in range(3):
        for job in ("one", "two"):
            site.backup(job)
    assert [site.backup(job)["incremental"] for job in ("one", "two")] == [True, True]
    with site.opened() as repository:
        assert len(read_catalogue(repository).snapshots) == 8

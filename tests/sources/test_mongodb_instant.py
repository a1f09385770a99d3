"""Everything that a view reads belongs to its instant, whatever others do meanwhile."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import bson
import pytest
from bson import Binary, Int64, Timestamp
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from drtool.errors import InstantMovedError
from drtool.sources.cutting import join
from drtool.sources.mongodb.catalogue import Entry, list_catalogue
from drtool.sources.mongodb.connection import pin
from drtool.sources.mongodb.freezing import freeze
from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.loading import split_documents
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import WHOLE, Consistency, KeyRange, StreamInfo
from tests.sources import mongo_zoo
from tests.sources.contract import back_up, rule_of
from tests.sources.mongo import Client, Document, encoded, insert_raw, source_of

ACCOUNTS = 200
TOTAL = ACCOUNTS * 100


@contextmanager
def frozen(uri: str, database: str) -> Iterator[MongoView]:
    """A view of one database."""
    with closing(source_of(uri, database).prepare(None)) as prepared, closing(prepared.freeze()) as view:
        yield view


def stream_of(view: MongoView, name: str) -> StreamInfo:
    """The stream of this collection."""
    return next(stream for stream in view.streams() if stream.name.endswith(f".{name}"))


def read(view: MongoView, name: str) -> list[Document]:
    """The documents of a collection."""
    stream = stream_of(view, name)
    data = b"".join(chunk.data for chunk in view.chunks(stream, WHOLE, rule_of(stream)))
    return bson.decode_all(data)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Transfers:
    """Threads that move money between accounts of two collections, in transactions, until stopped."""

    def __init__(self, uri: str, database: str) -> None:
        self.client: Client = MongoClient(uri)
        self.database = self.client[database]
        self.stop = threading.Event()
        self.done = 0
        self.threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(3)]

    def __enter__(self) -> Transfers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.client.close()

    def work(self, seed: int) -> None:
        choice = random.Random(seed)
        while not self.stop.is_set():
            amount, one, other = choice.randint(1, 50), choice.randrange(ACCOUNTS), choice.randrange(ACCOUNTS)
            try:
                with self.client.start_session() as session, session.start_transaction():
                    self.database["here"].update_one({"_id": one}, {"$inc": {"v": -amount}}, session=session)
                    self.database["there"].update_one({"_id": other}, {"$inc": {"v": amount}}, session=session)
                self.done += 1
            except PyMongoError:  # a write conflict: the transfer did not take place
                continue

    def wait_for_more(self) -> None:
        """Until there were some more transfers."""
        goal = self.done + 5
        wait_until(lambda: self.done >= goal)


def test_money_in_flight_is_neither_lost_nor_made(replica_set: Server, client: Client, database: str) -> None:
    for name in ("here", "there"):
        client[database][name].insert_many([{"_id": i, "v": 50} for i in range(ACCOUNTS)])
    states = set()
    with Transfers(replica_set.uri, database) as transfers:
        for _ in range(5):
            with frozen(replica_set.uri, database) as view:
                transfers.wait_for_more()
                here = read(view, "here")
                transfers.wait_for_more()
                there = read(view, "there")
                settled = view.settle()
            assert sum(each["v"] for each in here + there) == TOTAL
            assert settled.consistency is Consistency.EXACT
            assert not settled.weaker
            states.add(tuple(each["v"] for each in here))
    assert len(states) == 5, "the accounts should have changed between the views"


def test_ranges_split_at_any_id(replica_set: Server, client: Client, database: str) -> None:
    mongo_zoo.fill_collections(client[database])
    mongo_zoo.fill_values(client[database])
    split = set()
    with frozen(replica_set.uri, database) as view:
        for stream in view.streams():
            rule = rule_of(stream)
            whole = list(view.chunks(stream, WHOLE, rule))
            records = [record for chunk in whole for record in split_documents(chunk.data)]
            if not stream.keyed or not 1 < len(records) < 100:
                continue
            for edge in map(key_of, records):
                lower, upper = KeyRange(upper=edge), KeyRange(lower=edge)
                parts = [list(view.chunks(stream, part, rule)) for part in (lower, upper)]
                joined = join(parts, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
                assert [chunk.data for chunk in joined] == [chunk.data for chunk in whole], (stream.name, edge)
                own = sum(chunk.records - chunk.beyond for chunk in parts[0])
                assert key_of(records[own]) == edge
            split.add(stream.name.partition(".")[2])
    assert split >= {"ids", "values", "clustered", "series", "german"}


def test_a_point_says_from_where_to_replay(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    with client.start_session() as session, session.start_transaction():
        client[database]["c"].insert_one({"_id": 2}, session=session)
        with frozen(replica_set.uri, database) as view:
            point = view.point
            assert [each["_id"] for each in read(view, "c")] == [1]
    assert point["replay_from"] <= point["cluster_time"]
    assert view.instant.timestamp() == point["cluster_time"][0]
    assert point["set_id"] == source_of(replica_set.uri, database).probe().identity != ""
    assert point["term"] >= 1


def test_a_transaction_half_in_the_oplog_moves_the_start_of_a_replay(
    replica_set: Server, client: Client, database: str
) -> None:
    client[database]["c"].insert_one({"_id": 1})
    started = Timestamp(int(time.time()) - 100, 7)
    record = {
        "_id": {"id": Binary.from_uuid(uuid.uuid4()), "uid": b"x" * 32},
        "txnNum": Int64(1),
        "lastWriteOpTime": {"ts": started, "t": Int64(1)},
        "lastWriteDate": datetime.now(UTC),
        "state": "prepared",
        "startOpTime": {"ts": started, "t": Int64(1)},
    }
    # the server takes no such write on a session, and pymongo sends one with every acknowledged write
    transactions = client["config"].get_collection("transactions", write_concern=WriteConcern(w=0))
    transactions.insert_one(record)
    try:
        wait_until(lambda: transactions.find_one({"_id": record["_id"]}) is not None)
        with frozen(replica_set.uri, database) as view:
            assert view.point["replay_from"] == [started.time, 7]
    finally:
        transactions.delete_one({"_id": record["_id"]})
        wait_until(lambda: transactions.find_one({"_id": record["_id"]}) is None)
    with frozen(replica_set.uri, database) as view:
        assert view.point["replay_from"] > [started.time, 7]


Change = Callable[[Client, str], None]


def drop(client: Client, name: str) -> None:
    """The collection goes."""
    client[name].drop_collection("c")


def drop_everything(client: Client, name: str) -> None:
    """The database goes."""
    client.drop_database(name)


def rename(client: Client, name: str) -> None:
    """The collection moves."""
    client[name]["c"].rename("d")


def rename_and_back(client: Client, name: str) -> None:
    """The collection moves, and comes back."""
    client[name]["c"].rename("d")
    client[name]["d"].rename("c")


def replace(client: Client, name: str) -> None:
    """Another collection takes the name."""
    client[name].drop_collection("c")
    client[name]["c"].insert_one({"_id": "another"})


def rename_over(client: Client, name: str) -> None:
    """Another collection is renamed to the name, as $out does."""
    client[name]["tmp"].insert_one({"_id": "another"})
    client[name]["tmp"].rename("c", dropTarget=True)


@pytest.mark.parametrize("change", [drop, drop_everything, rename, rename_and_back, replace, rename_over])
@pytest.mark.parametrize("by_uuid", [True, False])
def test_what_goes_away_before_it_is_read_is_noticed(
    replica_set: Server, client: Client, database: str, change: Change, by_uuid: bool
) -> None:
    client[database]["c"].insert_many([{"_id": i} for i in range(10)])
    with frozen(replica_set.uri, database) as view:
        view._reader._by_uuid = by_uuid  # as after a refusal of the privilege useUUID
        change(client, database)
        with pytest.raises(InstantMovedError):
            read(view, "c")


@pytest.mark.parametrize("change", [drop, rename])
def test_what_goes_away_while_it_is_read_is_noticed(
    replica_set: Server, client: Client, database: str, change: Change
) -> None:
    insert_raw(client[database], "c", [encoded({"_id": i, "x": b"x" * 100_000}) for i in range(100)])
    insert_raw(client[database], "c", [encoded({"_id": i, "x": b"x" * 100_000}) for i in range(100, 200)])
    with frozen(replica_set.uri, database) as view:
        stream = stream_of(view, "c")
        chunks = view.chunks(stream, WHOLE, rule_of(stream))
        next(chunks)
        change(client, database)
        with pytest.raises(InstantMovedError):
            list(chunks)


@pytest.mark.parametrize("change", [drop, rename, replace, rename_over])
def test_what_was_never_read_is_missed_when_settling(
    replica_set: Server, client: Client, database: str, change: Change
) -> None:
    client[database]["c"].insert_one({"_id": 1})
    with frozen(replica_set.uri, database) as view:
        change(client, database)
        with pytest.raises(InstantMovedError):
            view.settle()


def test_what_was_read_in_time_may_go(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    with frozen(replica_set.uri, database) as view:
        assert read(view, "c") == [{"_id": 1}]
        client[database].drop_collection("c")
        assert view.settle().consistency is Consistency.EXACT


def test_a_window_that_closed_is_noticed(replica_set: Server, client: Client, database: str) -> None:
    parameter = "minSnapshotHistoryWindowInSeconds"
    client[database]["c"].insert_one({"_id": 0})
    before = client.admin.command({"getParameter": 1, parameter: 1})[parameter]
    try:
        with frozen(replica_set.uri, database) as view:
            client.admin.command({"setParameter": 1, parameter: 0})
            deadline = time.monotonic() + 60
            with pytest.raises(InstantMovedError, match="minSnapshotHistoryWindowInSeconds"):
                while time.monotonic() < deadline:
                    client[database]["c"].update_one({"_id": 0}, {"$inc": {"n": 1}})
                    assert read(view, "c") == [{"_id": 0}]
    finally:
        client.admin.command({"setParameter": 1, parameter: before})


def test_index_builds_do_no_harm(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_many([{"_id": i} for i in range(10)])
    with frozen(replica_set.uri, database) as view:
        client[database]["c"].create_index("x")
        client[database].command({"collMod": "c", "validator": {"_id": {"$gte": 0}}})
        assert len(read(view, "c")) == 10
        assert view.settle().consistency is Consistency.EXACT


def test_a_catalogue_that_never_stands_still_is_reported(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 0})
    own, deployment, _ = pin(replica_set.uri)

    def list_while_it_changes() -> Sequence[Entry]:
        entries = list_catalogue(own, [database], lambda _: True)
        client[database].create_collection(f"x{len(entries)}")
        return entries

    with closing(own), pytest.raises(InstantMovedError, match="attempts"):
        freeze(own, deployment, list_while_it_changes)


def test_a_capped_collection_written_to_meanwhile_is_fuzzy(replica_set: Server, client: Client, database: str) -> None:
    for name in ("quiet", "busy"):
        client[database].create_collection(name, capped=True, size=1_000_000)
        client[database][name].insert_many([{"_id": i} for i in range(10)])
    with frozen(replica_set.uri, database) as view:
        client[database]["busy"].insert_one({"_id": 10})
        assert len(read(view, "busy")) == 11
        assert len(read(view, "quiet")) == 10
        settled = view.settle()
    assert settled.consistency is Consistency.EXACT
    assert settled.weaker == {f"{database}.busy": Consistency.FUZZY}
    assert any("busy" in warning for warning in settled.warnings)


def test_a_standalone_is_fuzzy_and_says_how_to_mend_that(standalone: Server) -> None:
    with MongoClient[Document](standalone.uri) as client:
        client["alone"]["c"].insert_many([{"_id": i} for i in range(10)])
        source = source_of(standalone.uri, "alone")
        probe = source.probe()
        assert (probe.topology, probe.consistency) == ("standalone", Consistency.FUZZY)
        assert any("replica set of one node" in warning for warning in probe.warnings)
        assert len(bson.decode_all(back_up(source)["alone.c"].data)) == 10
        with frozen(standalone.uri, "alone") as view:
            assert view.settle().consistency is Consistency.FUZZY
            client["alone"].drop_collection("c")
            with pytest.raises(InstantMovedError):
                read(view, "c")
            with pytest.raises(InstantMovedError):
                view.settle()


def test_cursors_are_closed_when_reading_stops_early(replica_set: Server, client: Client, database: str) -> None:
    insert_raw(client[database], "c", [encoded({"_id": i, "x": b"x" * 1000}) for i in range(5000)])

    def open_cursors() -> int:
        return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])

    before = open_cursors()
    with frozen(replica_set.uri, database) as view:
        stream = stream_of(view, "c")
        chunks = view.chunks(stream, WHOLE, rule_of(stream))
        next(chunks)
        assert open_cursors() == before + 1
        chunks.close()  # type: ignore[attr-defined]
        assert open_cursors() == before


def test_sessions_of_slow_readers_are_kept_alive(
    replica_set: Server, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drtool.sources.mongodb.sessions._REFRESH_SECONDS", 0.01)
    insert_raw(client[database], "c", [encoded({"_id": i, "x": b"x" * 1000}) for i in range(5000)])

    def refreshes() -> int:
        return int(client.admin.command("serverStatus")["metrics"]["commands"]["refreshSessions"]["total"])

    with frozen(replica_set.uri, database) as view:
        stream = stream_of(view, "c")
        chunks = view.chunks(stream, WHOLE, rule_of(stream))
        next(chunks)
        goal = refreshes() + 3
        wait_until(lambda: refreshes() >= goal)
        assert list(chunks)


def test_estimates_of_a_time_series_are_of_its_buckets(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("series", timeseries={"timeField": "at"})
    start = datetime(2026, 1, 1, tzinfo=UTC)
    client[database]["series"].insert_many([{"at": start + timedelta(hours=2 * n)} for n in range(50)])
    with frozen(replica_set.uri, database) as view:
        [stream] = view.streams()
    assert stream.estimated_records == client[database]["system.buckets.series"].count_documents({})
    assert stream.estimated_bytes > 0

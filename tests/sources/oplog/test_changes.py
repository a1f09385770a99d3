"""When a base cannot be relied on, and what is said then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Timestamp
from pymongo import MongoClient

from drtool.errors import AuthenticationError, OplogTruncatedError
from drtool.sources.mongodb.batches import Batch
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.loading import split_documents
from drtool.sources.mongodb.oplog.marks import Marks
from drtool.sources.mongodb.oplog.touched import Pass, UnknowableError
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.reading import WHOLE, Changes
from tests.servers.guarded import Guarded
from tests.sources.contract import rule_of
from tests.sources.mongo import Client, Document
from tests.sources.oplog.bases import HandMade, changes_since, frozen, point


@pytest.fixture
def since(replica_set: Server, client: Client, database: str) -> Document:
    """The instant after a collection ``c`` with one document was made."""
    client[database]["c"].insert_one({"_id": 1})
    return point(replica_set.uri, database)


def because(replica_set: Server, database: str, since: Document) -> str:
    """Why there is no increment since then."""
    return changes_since(replica_set.uri, since, {f"{database}.c": HandMade.of(1)}).full_because


def test_without_bases_there_is_nothing_to_look_for(replica_set: Server, database: str, since: Document) -> None:
    with frozen(replica_set.uri, database) as view:
        assert view.changes({}, {}) == Changes()
    assert because(replica_set, database, since) == ""


def other_set(since: Document) -> Document:
    """Of a set with another id."""
    return since | {"set_id": "6" * 24}


def of_a_standalone(since: Document) -> Document:
    """Not of a replica set at all."""
    return {"version": since["version"], "topology": "standalone"}


def in_another_term(since: Document) -> Document:
    """Its newest entry was rolled back, and another stands there."""
    return since | {"term": since["term"] + 1}


def without_its_entry(since: Document) -> Document:
    """Its newest entry is gone: no entry has the number 0 in its second."""
    return since | {"cluster_time": [since["cluster_time"][0], 0]}


def in_the_future(since: Document) -> Document:
    """The server was set back."""
    return since | {"cluster_time": [since["cluster_time"][0] + 10_000, 1]}


def before_the_oplog(since: Document) -> Document:
    """A transaction was open that began before the oplog does."""
    return since | {"replay_from": [1_000_000_000, 1]}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_set, "another replica set"),
        (of_a_standalone, "standalone"),
        (in_another_term, "of the term"),
        (without_its_entry, "not in the oplog"),
        (in_the_future, "newer"),
        (before_the_oplog, "no longer reaches back"),
    ],
)
def test_a_base_of_another_history(
    replica_set: Server,
    client: Client,
    database: str,
    since: Document,
    spoil: Callable[[Document], Document],
    says: str,
) -> None:
    first = oldest(client)
    since = spoil(since | {"replay_from": [first.time, first.inc]})
    assert says in because(replica_set, database, since)


def oldest(client: Client) -> Timestamp:
    """The ts of the oplog's first entry."""
    found: Any = client["local"]["oplog.rs"].find_one(sort=[("$natural", 1)])
    ts: Timestamp = found["ts"]
    return ts


def test_a_standalone_has_no_increments(standalone: Server, since: Document) -> None:
    with frozen(standalone.uri, "none") as view:
        found = view.changes(since, {"none.c": HandMade.of(1)})
        assert "standalone" in found.full_because
        with pytest.raises(OplogTruncatedError, match="standalone"):
            view.overlay(since)


def test_an_account_that_may_not_read_the_oplog(guarded_set: Guarded, database: str) -> None:
    with guarded_set.connect() as root, guarded_set.user({"role": "readWrite", "db": database}) as uri:
        root[database]["c"].insert_one({"_id": 1})
        try:
            since = point(uri, database)
            found = changes_since(uri, since, {f"{database}.c": HandMade.of(1)})
            assert "`backup`" in found.full_because
            assert "local.oplog.rs" in found.full_because
            with frozen(uri, database) as view, pytest.raises(AuthenticationError):
                view.overlay(since)
        finally:
            root.drop_database(database)


def test_the_feature_compatibility_version(mongod: Path) -> None:
    with running(mongod, ServerOptions(replica_set="versions")) as server, MongoClient[Document](server.uri) as client:
        client["app"]["c"].insert_one({"_id": 1})
        since = point(server.uri, "app")
        assert because(server, "app", since) == ""
        client.admin.command({"setFeatureCompatibilityVersion": "5.0"})
        assert "compatibility" in because(server, "app", since)


UUID, OTHER = bytes(range(16)), bytes(range(16, 32))


def nested(*operations: Document) -> Batch:
    """A reply with one entry that holds these operations."""
    o = {"applyOps": list(operations)}
    entry = {"op": "c", "ns": "admin.$cmd", "o": o, "ts": Timestamp(1, 1)}
    raw = bson.encode({"": [entry]})
    return Batch(raw, 10, len(raw) - 2)


def operation(op: str, o: Document, uuid: bytes | None = None, ns: str = "db.c", **more: object) -> Document:
    """An operation; commands are of no collection in particular."""
    ui = {} if uuid is None else {"ui": Binary(uuid, 4)}
    return {"op": op, "ns": "db.$cmd" if op == "c" else ns, **ui, "o": o, **more}


def passed_over(replica_set: Server, *batches: Batch) -> Marks:
    """The marks of ``db.c``, whose UUID is `UUID`, after operations that this server does not know of."""
    marks = Marks(HandMade.of(1, 2))
    with frozen(replica_set.uri, "none") as view:
        one_pass = Pass(view._oplog, {UUID: marks}, {"db.c": UUID})
        for batch in batches:
            one_pass.take(batch)
        one_pass.settle()
    return marks


@pytest.mark.parametrize(
    "unknown",
    [
        operation("c", {"reshard": "c"}, UUID),
        operation("c", {"exchange": Binary(OTHER, 4), "with": Binary(UUID, 4)}, OTHER),
        operation("x", {"a": 1}, UUID),
        operation("c", {"truncateRange": "db.c"}, UUID),
        operation("d", {"_id": 1}),
        operation("c", {"drop": "c"}),
    ],
)
def test_an_operation_that_may_have_done_anything_to_a_collection(replica_set: Server, unknown: Document) -> None:
    assert passed_over(replica_set, nested(unknown)).full


@pytest.mark.parametrize(
    "unknown",
    [
        operation("c", {"importCollection": "db.x"}, OTHER),
        operation("c", {"whatever": 1}),
        operation("x", {"a": 1}, OTHER),
        operation("i", {"_id": "featureCompatibilityVersion"}, OTHER, "admin.system.version"),
    ],
)
def test_an_operation_that_may_have_done_anything_to_all(replica_set: Server, unknown: Document) -> None:
    with pytest.raises(UnknowableError):
        passed_over(replica_set, nested(unknown))


@pytest.mark.parametrize(
    "known",
    [
        operation("n", {"msg": "periodic noop"}),
        operation("ci", {"k": 1}),
        operation("km", {"k": 1}),
        operation("i", {"_id": "authSchema"}, OTHER, "admin.system.version"),
        operation("d", {"_id": 1}, ns="db.other"),
        operation("c", {"collMod": "c", "validator": {}}, UUID),
        operation("c", {"dropIndexes": "c"}, UUID),
        operation("c", {"drop": "d"}, OTHER),
        operation("c", {"dropDatabase": 1}),
        operation("c", {"truncateRange": "db.d"}, OTHER),
        operation("c", {"renameCollection": "db.c", "to": "db.d"}, UUID),
    ],
)
def test_what_is_known_to_leave_records_alone(replica_set: Server, known: Document) -> None:
    marks = passed_over(replica_set, nested(known))
    assert not marks.full
    assert not marks.chunks


def test_names_mean_nothing_once_something_was_renamed(replica_set: Server) -> None:
    rename = operation("c", {"renameCollection": "db.c", "to": "db.d"}, UUID)
    with pytest.raises(UnknowableError, match="renamed"):
        passed_over(replica_set, nested(operation("d", {"_id": 1}, ns="db.b")), nested(rename))


def test_operations_nested_too_deep(replica_set: Server) -> None:
    deep = operation("d", {"_id": 1}, UUID)
    for _ in range(40):
        deep = operation("c", {"applyOps": [deep]})
    with pytest.raises(UnknowableError, match="deep"):
        passed_over(replica_set, nested(deep))


def test_entries_that_are_none(replica_set: Server) -> None:
    with pytest.raises(UnknowableError):
        passed_over(replica_set, nested({"op": 1}))
    raw = bson.encode({"": [{"op": "i"}]})
    with pytest.raises(UnknowableError):
        passed_over(replica_set, Batch(raw, 10, len(raw) - 2))


def test_an_overlay_holds_what_concerns_the_view(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    since = point(replica_set.uri, database)
    client[database]["c"].insert_one({"_id": 2})
    client[database + "_other"]["c"].insert_one({"_id": "not here"})
    with client.start_session() as session, session.start_transaction():
        client[database]["c"].insert_one({"_id": 3}, session=session)
        client[database + "_other"]["c"].insert_one({"_id": 4}, session=session)
    client[database]["c"].create_index("x")
    with frozen(replica_set.uri, database) as view:
        client[database]["c"].insert_one({"_id": "too late"})
        stream = view.overlay(since)
        assert view.split(stream, 3) == [WHOLE]
        chunks = list(view.chunks(stream, WHOLE, rule_of(stream)))
    assert (stream.name, stream.kind, stream.keyed, stream.identity) == ("$oplog", "oplog", False, "")
    definition = Definition.decode(stream.definition)
    assert definition.kind is Kind.OPLOG
    assert definition.options["from"] == Timestamp(*since["replay_from"])
    assert definition.options["since"] == Timestamp(*since["cluster_time"])
    assert not definition.keyed
    raw = [each for chunk in chunks for each in split_documents(chunk.data)]
    entries = [bson.decode(each) for each in raw]
    assert [entry["ts"] for entry in entries] == sorted(entry["ts"] for entry in entries)
    assert all(client["local"]["oplog.rs"].find_one({"ts": entry["ts"]}) == entry for entry in entries)
    inserted = [entry["o"]["_id"] for entry in entries if entry["op"] == "i" and entry["ns"].startswith(database)]
    assert inserted in ([1, 2], [2])
    both = [inner["o"]["_id"] for entry in entries for inner in entry["o"].get("applyOps", ())]
    assert both == [3, 4]
    assert all("applyOps" in entry["o"] for entry in entries if entry["op"] == "c")
    assert chunks[0].first == entries[0]["ts"].time.to_bytes(4) + entries[0]["ts"].inc.to_bytes(4)


def test_an_overlay_that_cannot_be_had(replica_set: Server, database: str, since: Document) -> None:
    with frozen(replica_set.uri, database) as view, pytest.raises(OplogTruncatedError):
        view.overlay(before_the_oplog(since))

"""Everything that belongs to a database comes back and works: one database with all of it, restored beside itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from bson import Code
from gridfs import GridFS
from pymongo import GEO2D, MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, WriteError

from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from tests.sources import mongo_zoo
from tests.sources.contract import back_up, check_restored, plan_for, restore
from tests.sources.mongo import Document, raw_documents, source_of, unique_database

FILE = bytes(range(256)) * 3000


@dataclass(frozen=True)
class Twins:
    """A database and what a restore made of it; ``streams`` is what was backed up."""

    original: Database[Document]
    restored: Database[Document]
    streams: tuple[str, ...]

    def both(self) -> tuple[Database[Document], Database[Document]]:
        """To compare."""
        return self.original, self.restored

    def options(self, collection: str) -> tuple[Document, Document]:
        """A collection's options in both."""
        first, second = (
            each.command({"listCollections": 1, "filter": {"name": collection}})["cursor"]["firstBatch"][0]["options"]
            for each in self.both()
        )
        return first, second

    def index(self, collection: str, name: str) -> tuple[Document, Document]:
        """An index's specification in both."""
        first, second = (
            next(dict(spec) for spec in each[collection].list_indexes() if spec["name"] == name) for each in self.both()
        )
        return first, second


def fill_further(database: Database[Document]) -> None:
    """What the zoo does not hold: options altered later, a real file, indexes of further kinds."""
    mongo_zoo.fill_altered(database)
    for joined in ("ids", "values"):
        database[joined].insert_many([{"_id": "b"}, {"_id": 3}])
    GridFS(database, "media").put(FILE, _id="f", filename="all bytes.bin", metadata={"kind": "test"})
    database["places"].insert_many([{"_id": i, "at": [i, -i], "a": {"b": i, "c": i}, "n": i} for i in range(20)])
    database["places"].create_index([("at", GEO2D)], bits=20, min=-200, max=200, name="flat")
    database["places"].create_index("a.$**", name="wildcard below")
    database["places"].create_index("$**", wildcardProjection={"a.c": 0, "_id": 0}, name="wildcard but")
    database["places"].create_index("n", unique=True, partialFilterExpression={"n": {"$gt": 5}}, name="partly unique")
    database.create_collection("case", collation={"locale": "en", "strength": 2})
    database["case"].insert_many([{"_id": "A"}, {"_id": "b"}])


@pytest.fixture(scope="module")
def twins(replica_set: Server) -> Iterator[Twins]:
    """Restored once for all tests of this file, which read, or write what no other of them looks at."""
    client: MongoClient[Document]
    with MongoClient(replica_set.uri) as client, closing(MongoTarget(replica_set.uri)) as target:
        name = unique_database(client)
        try:
            database: Database[Document] = client[name]
            mongo_zoo.fill_collections(database)
            mongo_zoo.fill_indexes(database)
            mongo_zoo.fill_views(database)
            fill_further(database)
            source = source_of(replica_set.uri, name)
            copies = back_up(source)
            plan = plan_for(source, copies)
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)
            yield Twins(database, client[f"{name}_restored"], tuple(copies))
        finally:
            for each in (name, f"{name}_restored"):
                client.drop_database(each)


def test_functions(twins: Twins) -> None:
    found = twins.restored["system.js"].find_one({"_id": "twice"})
    assert found is not None
    assert found["value"] == Code("function (x) { return 2 * x; }")


@pytest.mark.parametrize(
    ("collection", "option"),
    [
        ("altered", "validator"),
        ("altered", "validationLevel"),
        ("altered", "validationAction"),
        ("altered", "changeStreamPreAndPostImages"),
        ("altered_series", "timeseries"),
        ("altered_series", "expireAfterSeconds"),
        ("altered_clustered", "expireAfterSeconds"),
        ("altered_capped", "size"),
        ("altered_capped", "max"),
    ],
)
def test_options_that_were_altered_later(twins: Twins, collection: str, option: str) -> None:
    before, after = twins.options(collection)
    assert before[option] == after[option] == mongo_zoo.ALTERED[collection][option]


@pytest.mark.parametrize(("name", "field", "value"), mongo_zoo.ALTERED_INDEXES)
def test_indexes_that_were_altered_later(twins: Twins, name: str, field: str, value: Any) -> None:
    before, after = twins.index("altered", name)
    assert before.get(field) == after.get(field) == value


def test_a_validator_holds_and_what_broke_it_before_is_there(twins: Twins) -> None:
    with pytest.raises(WriteError, match="validation"):
        twins.restored["checked"].insert_one({"_id": "new", "age": -2})
    assert twins.restored["checked"].count_documents({"age": -1}) == 1


def test_a_time_series_with_its_buckets_goes_on(twins: Twins) -> None:
    buckets = [raw_documents(each, "system.buckets.series", {"_id": 1}) for each in twins.both()]
    assert buckets[0] == buckets[1]
    query: Document = {"who": 3}
    assert len({each["series"].count_documents(query) for each in twins.both()}) == 1
    twins.restored["series"].insert_one({"at": mongo_zoo.PAST, "who": 1000, "v": 1})
    assert twins.restored["series"].count_documents({"who": 1000}) == 1


def test_a_clustered_collection(twins: Twins) -> None:
    before, after = twins.options("clustered")
    assert before["clusteredIndex"] == after["clusteredIndex"]
    assert after["clusteredIndex"]["name"] == "by id"
    assert "idIndex" not in twins.restored.command({"listCollections": 1, "filter": {"name": "clustered"}})


def test_a_capped_collection_keeps_its_order_and_its_bounds(twins: Twins) -> None:
    natural = [raw_documents(each, "altered_capped", {"$natural": 1}) for each in twins.both()]
    assert natural[0] == natural[1]
    assert natural[0] != sorted(natural[0])
    twins.restored["altered_capped"].insert_one({"_id": "newest"})
    assert twins.restored["altered_capped"].count_documents({}) == mongo_zoo.ALTERED["altered_capped"]["max"]


def test_the_collation_of_ids(twins: Twins) -> None:
    with pytest.raises(DuplicateKeyError):
        twins.restored["case"].insert_one({"_id": "a"})
    before, after = twins.index("case", "_id_")
    assert before == after
    assert after["collation"]["strength"] == 2


def test_pre_images_are_recorded_anew_and_old_ones_are_no_part_of_a_backup(twins: Twins, replica_set: Server) -> None:
    twins.original["images"].insert_one({"_id": "old", "n": 1})
    twins.original["images"].update_one({"_id": "old"}, {"$inc": {"n": 1}})
    assert "system.preimages" in twins.original.client["config"].list_collection_names()
    with closing(source_of(replica_set.uri).prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert not [stream.name for stream in view.streams() if stream.name.startswith("config.")]
    images = twins.restored["images"]
    images.insert_one({"_id": "x", "n": 1})
    with images.watch(full_document_before_change="required") as changes:
        images.update_one({"_id": "x"}, {"$inc": {"n": 1}})
        assert changes.next()["fullDocumentBeforeChange"] == {"_id": "x", "n": 1}


def test_views_on_views(twins: Twins) -> None:
    first, second = (list(each["aa_view"].find()) for each in twins.both())
    assert first == second
    assert len(first) == 10
    before, after = (sorted(map(repr, each["joined"].find())) for each in twins.both())
    assert before == after
    assert len(after) == 8 + 2


def test_a_file(twins: Twins) -> None:
    found = GridFS(twins.restored, "media").get("f")
    assert found.read() == FILE
    assert (found.filename, found.metadata) == ("all bytes.bin", {"kind": "test"})
    assert twins.index("media.chunks", "files_id_1_n_1")[1]["unique"] is True


@pytest.mark.parametrize(
    ("collection", "name", "fields"),
    [
        ("indexed", "text", {"weights": {"s": 3, "title": 2}, "default_language": "german"}),
        ("indexed", "geo", {"key": {"p": "2dsphere"}}),
        ("indexed", "hashed", {"key": {"u": "hashed"}}),
        ("indexed", "wildcard", {"wildcardProjection": {"d": 1}}),
        ("indexed", "partial", {"partialFilterExpression": {"u": {"$gt": 5}}}),
        ("indexed", "sparse", {"sparse": True}),
        ("indexed", "hidden", {"hidden": True}),
        ("indexed", "ttl", {"expireAfterSeconds": 3600 * 24 * 365 * 60}),
        ("indexed", "unique", {"unique": True}),
        ("indexed", "compound", {"key": {"b": -1, "a": 1}}),
        ("indexed", "prepared", {"prepareUnique": True}),
        ("indexed", "engine", {"storageEngine": {"wiredTiger": {"configString": ""}}}),
        ("german", "simple", {}),
        ("places", "flat", {"key": {"at": "2d"}, "bits": 20, "min": -200, "max": 200}),
        ("places", "wildcard below", {"key": {"a.$**": 1}}),
        ("places", "wildcard but", {"wildcardProjection": {"a.c": 0, "_id": 0}}),
        ("places", "partly unique", {"unique": True, "partialFilterExpression": {"n": {"$gt": 5}}}),
        ("series", "who_at", {"key": {"who": 1, "at": -1}}),
    ],
)
def test_every_kind_and_option_of_index(twins: Twins, collection: str, name: str, fields: Document) -> None:
    before, after = twins.index(collection, name)
    assert before == after
    assert {field: after.get(field) for field in fields} == fields


def test_the_collations_of_indexes(twins: Twins) -> None:
    assert twins.index("indexed", "collated")[1]["collation"]["locale"] == "fr"
    assert twins.index("german", "inherited")[1]["collation"]["locale"] == "de"
    assert "collation" not in twins.index("german", "simple")[1]


def test_indexes_are_used(twins: Twins) -> None:
    restored = twins.restored
    assert restored["places"].count_documents({"at": {"$geoWithin": {"$center": [[0, 0], 2]}}}) == 2
    assert restored["indexed"].count_documents({"$text": {"$search": "word"}}) == 20
    assert restored["german"].count_documents({"_id": "ZEBRA"}) == 1
    with pytest.raises(DuplicateKeyError):
        restored["places"].insert_one({"n": 7})


def test_nothing_is_left_of_what_is_not_a_users(twins: Twins) -> None:
    allowed = {"system.js", "system.views", "system.buckets.series", "system.buckets.altered_series"}
    found = {name for name in twins.restored.list_collection_names() if name.startswith("system.")}
    assert found <= allowed
    assert not [name for name in twins.streams if ".system." in name and not name.endswith(".system.js")]

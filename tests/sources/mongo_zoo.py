"""One of everything that a MongoDB database can hold."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.son import SON
from pymongo import ASCENDING, DESCENDING, GEOSPHERE, HASHED, TEXT, IndexModel
from pymongo.database import Database

from tests.sources.mongo import Document, document, encoded, insert_raw, int32

PAST = datetime(2001, 2, 3, tzinfo=UTC)
LONG_NAME = "n" * 200
ODD_NAMES = ("dotted.name.x", "with space", "größe-数据", "semi;colon'quote", "UPPER", LONG_NAME)
NAN_WITH_PAYLOAD = struct.pack("<Q", 0x7FF8DEADBEEF0001)


def fill(database: Database[Document]) -> None:
    """All kinds of collections and views, indexes, ids and values."""
    fill_collections(database)
    fill_values(database)
    fill_indexes(database)
    fill_views(database)


def fill_collections(database: Database[Document]) -> None:
    """Every kind of collection."""
    database["big"].insert_many([{"_id": i, "text": f"{i:08}" * 40, "n": i / 7} for i in range(9000)])
    database.create_collection("empty")
    database.create_collection("capped", capped=True, size=65536, max=500)
    database["capped"].insert_many([{"_id": (i * 7919) % 300, "n": i} for i in range(300)])
    database.create_collection(
        "clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "by id"}, expireAfterSeconds=3600
    )
    database["clustered"].insert_many([{"_id": PAST.replace(day=1 + i % 28, hour=i % 24, minute=i)} for i in range(50)])
    database.create_collection(
        "series",
        timeseries={"timeField": "at", "metaField": "who", "granularity": "minutes"},
        expireAfterSeconds=86400,
    )
    database["series"].insert_many(
        [{"at": PAST.replace(minute=i % 60, hour=i % 24), "who": i % 5, "v": i * 0.5} for i in range(400)]
    )
    database["series"].create_index([("who", 1), ("at", -1)], name="who_at")
    database.create_collection(
        "checked", validator={"age": {"$gte": 0}}, validationLevel="moderate", validationAction="error"
    )
    large = {"$or": [{f"field_{number}": {"$exists": True}} for number in range(300)] + [{"_id": {"$exists": True}}]}
    database.create_collection("checked_at_length", validator=large)
    insert_raw(database, "checked", [encoded({"_id": 1, "age": -1}), encoded({"_id": 2, "age": 1})])
    database.create_collection("german", collation={"locale": "de", "strength": 1})
    database["german"].insert_many([{"_id": i} for i in ("b", "A", "ä9", "Zebra", "apfel", 3, 1.5, None)])
    database["german"].create_index("name", name="inherited")
    database["german"].create_index("plain", name="simple", collation={"locale": "simple"})
    database.create_collection("images", changeStreamPreAndPostImages={"enabled": True})
    database.create_collection("packed", storageEngine={"wiredTiger": {"configString": "block_compressor=zlib"}})
    database["system.js"].insert_one({"_id": "twice", "value": Code("function (x) { return 2 * x; }")})
    database["fs.files"].insert_one({"_id": ObjectId(), "filename": "a.bin", "length": Int64(3), "chunkSize": 261120})
    database["fs.chunks"].insert_one({"files_id": ObjectId(), "n": 0, "data": b"abc"})
    for name in ODD_NAMES:
        database[name].insert_one({"_id": name})


def fill_values(database: Database[Document]) -> None:
    """Ids of all types, and values that drivers and servers like to change."""
    ids: list[Any] = [
        MinKey(),
        None,
        float("nan"),
        float("-inf"),
        -0.0,
        Int64(2**60),
        1,
        1.5,
        Decimal128("0.1"),
        "text",
        "",
        Code("scopeless"),
        Code("scoped", {"x": 1}),
        SON([("b", 1), ("a", {"c": [1, 2]})]),
        {},
        b"bytes",
        Binary(b"old", 2),
        Binary(bytes(16), 4),
        Binary(b"user", 0x80),
        ObjectId(),
        True,
        False,
        PAST,
        Timestamp(5, 6),
        Timestamp(0, 0),
        MaxKey(),
    ]
    database["ids"].insert_many([{"_id": each} for each in ids])
    insert_raw(
        database, "ids", [document((0x0E, "_id", b"\x04\0\0\0sym\0")), document((0x01, "_id", b"\0" * 7 + b"@"))]
    )
    zero = bytes(8)
    insert_raw(
        database,
        "values",
        [
            document((0x10, "_id", int32(1)), (0x10, "a", int32(1)), (0x10, "a", int32(2))),
            document((0x10, "_id", int32(2)), (0x01, "nan", NAN_WITH_PAYLOAD)),
            document((0x10, "_id", int32(3)), (0x03, "deep", document((0x11, "t", zero)))),
            document((0x10, "_id", int32(4)), (0x06, "undefined", b""), (0x0E, "symbol", b"\x02\0\0\0s\0")),
            document((0x10, "_id", int32(5)), (0x05, "binary", int32(7) + b"\x02" + int32(3) + b"abc")),
            document((0x10, "_id", int32(6)), (0x0B, "regex", b"a.*b\0imx\0")),
            document((0x10, "_id", int32(7)), (0x09, "year 300000", struct.pack("<q", 9_404_000_000_000_000))),
            document((0x10, "_id", int32(8)), (0x10, "", int32(1)), (0x10, "a.b", int32(2))),
            document((0x10, "_id", int32(10)), (0x02, "no UTF-8", int32(4) + b"\xff\xfe\xfd\0")),
        ],
    )
    put_empty_timestamp(database, "values", 9)
    database["large"].insert_one({"_id": "16 MB", "x": b"x" * (16 * 1024 * 1024 - 38)})


def put_empty_timestamp(database: Database[Document], collection: str, identity: int) -> None:
    """A document with a field ``Timestamp(0, 0)``: servers replace that on insert, so it takes an update."""
    whole = {"_id": identity, "t": Timestamp(0, 0), "other": 1, "u": Timestamp(0, 0)}
    database[collection].insert_one({"_id": identity})
    database[collection].update_one({"_id": identity}, [{"$replaceRoot": {"newRoot": {"$literal": whole}}}])


def fill_indexes(database: Database[Document]) -> None:
    """Every kind and option of index."""
    collection = database["indexed"]
    place = {"type": "Point", "coordinates": [13.4, 52.5]}
    collection.insert_many(
        [{"_id": i, "u": i, "s": f"word {i}", "p": place, "old": PAST, "d": {"x": i}} for i in range(20)]
    )
    collection.create_indexes(
        [
            IndexModel([("u", ASCENDING)], unique=True, name="unique"),
            IndexModel([("b", DESCENDING), ("a", ASCENDING)], name="compound"),
            IndexModel([("h", ASCENDING)], hidden=True, name="hidden"),
            IndexModel([("sp", ASCENDING)], sparse=True, name="sparse"),
            IndexModel([("pa", ASCENDING)], partialFilterExpression={"u": {"$gt": 5}}, name="partial"),
            IndexModel([("old", ASCENDING)], expireAfterSeconds=3600 * 24 * 365 * 60, name="ttl"),
            IndexModel(
                [("s", TEXT), ("title", TEXT)], weights={"s": 3, "title": 2}, default_language="german", name="text"
            ),
            IndexModel([("p", GEOSPHERE)], name="geo"),
            IndexModel([("u", HASHED)], name="hashed"),
            IndexModel([("$**", ASCENDING)], wildcardProjection={"d": 1}, name="wildcard"),
            IndexModel([("s", ASCENDING)], collation={"locale": "fr", "strength": 2}, name="collated"),
            IndexModel([("pu", ASCENDING)], prepareUnique=True, name="prepared"),
            IndexModel([("st", ASCENDING)], storageEngine={"wiredTiger": {"configString": ""}}, name="engine"),
        ]
    )


def fill_views(database: Database[Document]) -> None:
    """Views, views of views (the lower one later in the alphabet), and what they join."""
    database.command({"create": "zz_view", "viewOn": "big", "pipeline": [{"$match": {"_id": {"$lt": 10}}}]})
    database.command({"create": "aa_view", "viewOn": "zz_view", "pipeline": [{"$project": {"n": 1}}]})
    joined = {"from": "ids", "localField": "_id", "foreignField": "_id", "as": "ids"}
    pipeline = [{"$lookup": joined}, {"$unionWith": {"coll": "values", "pipeline": []}}]
    database.command(
        {"create": "joined", "viewOn": "german", "pipeline": pipeline, "collation": {"locale": "de", "strength": 1}}
    )


#: Options of the collections that `fill_altered` makes, as they are after the alterations.
ALTERED: dict[str, Document] = {
    "altered": {
        "validator": {"n": {"$lt": 100}},
        "validationLevel": "moderate",
        "validationAction": "warn",
        "changeStreamPreAndPostImages": {"enabled": True},
    },
    "altered_series": {
        "timeseries": {"timeField": "at", "granularity": "hours", "bucketMaxSpanSeconds": 2592000},
        "expireAfterSeconds": 10**9,
    },
    "altered_clustered": {"expireAfterSeconds": 10**9 + 1},
    "altered_capped": {"size": 131072, "max": 40},
}
#: Indexes of the collection ``altered``: name, field, and the field's value after the alterations.
ALTERED_INDEXES: list[tuple[str, str, Any]] = [
    ("hidden later", "hidden", True),
    ("shown again", "hidden", None),
    ("expires later", "expireAfterSeconds", 10**9),
    ("unique later", "unique", True),
    ("unique later", "prepareUnique", None),
]


def fill_altered(database: Database[Document]) -> None:
    """Collections and indexes whose options collMod changed."""
    database["altered"].insert_many([{"_id": i, "n": i * 10, "at": PAST} for i in range(20)])
    database["altered"].create_index("a", name="hidden later")
    database["altered"].create_index("b", name="shown again", hidden=True)
    database["altered"].create_index("at", name="expires later", expireAfterSeconds=2 * 10**9)
    database["altered"].create_index("n", name="unique later", prepareUnique=True)
    database.create_collection("altered_series", timeseries={"timeField": "at", "granularity": "seconds"})
    database["altered_series"].insert_one({"at": PAST, "v": 1})
    database.create_collection("altered_clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.create_collection("altered_capped", capped=True, size=65536)
    database["altered_capped"].insert_many([{"_id": (i * 7919) % 100} for i in range(40)])
    for name, changes in (
        ("altered", ALTERED["altered"]),
        ("altered", {"index": {"name": "hidden later", "hidden": True}}),
        ("altered", {"index": {"name": "shown again", "hidden": False}}),
        ("altered", {"index": {"name": "expires later", "expireAfterSeconds": 10**9}}),
        ("altered", {"index": {"name": "unique later", "unique": True}}),
        ("altered_series", {"timeseries": {"granularity": "hours"}, "expireAfterSeconds": 10**9}),
        ("altered_clustered", {"expireAfterSeconds": 10**9 + 1}),
        ("altered_capped", {"cappedSize": 131072, "cappedMax": 40}),
    ):
        database.command({"collMod": name, **changes})

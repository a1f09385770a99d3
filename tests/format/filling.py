"""Two databases with what a reader may meet, and changes to them."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from random import Random
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.dbref import DBRef
from pymongo import MongoClient
from pymongo.database import Database

Document = dict[str, Any]
FIRST, SECOND = "format_first", "format_second"
EVENTS = 40_000
WIDE_IDS = 200
VECTORS = 60
LONG = "x" * 1_400


def fill(client: MongoClient[Document]) -> None:
    """Make them; whatever they held is dropped."""
    for name in (FIRST, SECOND):
        client.drop_database(name)
    first, second = client[FIRST], client[SECOND]
    for start in range(0, EVENTS, 10_000):
        first.events.insert_many([_event(number) for number in range(start, start + 10_000)])
    first.wide.insert_many([{"_id": f"{number:06}" + "y" * 100_000} for number in range(WIDE_IDS)])
    first.vectors.insert_many([_vector(number) for number in range(VECTORS)])
    first.create_collection("empty")
    first.command("create", "seen", viewOn="events", pipeline=[{"$match": {"seen": True}}])
    second.large.insert_many([_large(number) for number in range(8)])
    _fill_kinds(second)
    second.create_collection("log", capped=True, size=1 << 20)
    second.log.insert_many([{"_id": -number, "text": LONG} for number in range(300)])
    second.create_collection("weather", timeseries={"timeField": "at", "metaField": "where"})
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    second.weather.insert_many([{"at": noon, "where": number % 7, "degrees": number} for number in range(200)])


def change(client: MongoClient[Document]) -> None:
    """Insert, update and delete a little of everything that can change."""
    first, second = client[FIRST], client[SECOND]
    first.events.update_many({"_id": {"$gte": 20_000, "$lt": 20_200}}, {"$set": {"seen": True, "more": LONG}})
    first.events.delete_many({"_id": {"$gte": 100, "$lt": 900}})
    first.events.insert_many([_event(number) for number in range(EVENTS, EVENTS + 500)])
    first.wide.delete_many({"_id": {"$lt": "000003"}})
    second.large.replace_one({"_id": 3}, _large(3) | {"more": LONG})
    second.log.insert_one({"_id": 1})
    second.drop_collection("kinds")
    second.added.insert_one({"_id": "new"})


def _event(number: int) -> Document:
    return {"_id": number, "seen": number % 2 == 0, "number": str(number) * 10, "text": LONG}


def _vector(number: int) -> Document:
    """Every third one has doubles that no 32-bit float is; they are of two lengths."""
    random = Random(number)
    values = [random.gauss(0, 0.05) for _ in range(400 + 100 * (number % 2))]
    singles = list(struct.unpack(f"{len(values)}f", struct.pack(f"{len(values)}f", *values)))
    return {"_id": number, "vector": values if number % 3 == 0 else singles, "after": number}


def _large(number: int) -> Document:
    return {"_id": number, "text": f"{number:08}" * 256 * 1024}


def _fill_kinds(database: Database[Document]) -> None:
    """Ids of many types, also behind values of all types that a reader has to step over."""
    ids = [
        *(MinKey(), None, 1, 2.5, Int64(3), Decimal128("4.5"), "text", {"a": {"b": [1]}}, Binary(b"\1\2", 128)),
        *(ObjectId(), False, datetime(2026, 1, 1, tzinfo=UTC), Timestamp(1, 2), MaxKey()),
    ]
    values = [*ids, [1, "a"], Regex("a.*", "i"), Code("f()"), Code("f()", {"x": 1}), DBRef("c", 1), Binary(b"")]
    database.kinds.insert_many([{"_id": id_, "values": values, "is": repr(id_)} for id_ in ids])

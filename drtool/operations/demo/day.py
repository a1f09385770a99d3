"""A day in the life of the application: the newest payments settle, new ones come, the oldest go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from bson.int64 import Int64

from drtool.operations.demo import contents
from drtool.operations.demo.application import DATABASE, Client
from drtool.operations.demo.seeding import TRANSACTIONS

_UPDATED = TRANSACTIONS // 100
_INSERTED = 300
_DELETED = 100
_DOCUMENTS = 10


@dataclass(frozen=True, slots=True)
class Changes:
    """How many transactions were updated, inserted and deleted, and how many documents are new."""

    updated: int
    inserted: int
    deleted: int
    documents: int


def pass_a_day(client: Client, chance: Random) -> Changes:
    """Change what a day changes. Raises pymongo's errors."""
    database = client[DATABASE]
    now = datetime.now(UTC).replace(microsecond=0)
    cards = database.transactions.find({"kind": "card"}, {"_id": 1})
    newest = [found["_id"] for found in cards.clone().sort("_id", -1).limit(_UPDATED)]
    oldest = [found["_id"] for found in cards.clone().sort("_id", 1).limit(_DELETED)]
    settle = {"$set": {"status": "settled", "settled": now}, "$inc": {"fee": Int64(25)}}
    updated = database.transactions.update_many({"_id": {"$in": newest}}, settle).modified_count
    deleted = database.transactions.delete_many({"_id": {"$in": oldest}}).deleted_count
    payments = contents.transactions(chance, _INSERTED, TRANSACTIONS, now, timedelta(seconds=1))
    inserted = len(database.transactions.insert_many(payments).inserted_ids)
    first = database.documents.count_documents({})
    new = contents.documents(chance, _DOCUMENTS, first, now)
    return Changes(updated, inserted, deleted, len(database.documents.insert_many(new).inserted_ids))

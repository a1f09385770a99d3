"""The application that the demonstration loses: a bank's accounts and ledger, and documents for its assistant."""

from __future__ import annotations

from random import Random
from typing import Any

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, TEXT, IndexModel, MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]
Client = MongoClient[Document]

DATABASE = "acme"
ACCOUNTS = 2_000
ACTIVE_VIEW = "active_accounts"
FILE_NAME = "terms-and-conditions.pdf"

_DAY = 86_400
_INDEXES = {
    "accounts": [
        IndexModel([("number", ASCENDING)], unique=True),
        IndexModel([("status", ASCENDING), ("balance", DESCENDING)]),
    ],
    "transactions": [
        IndexModel([("reference", ASCENDING)], unique=True),
        IndexModel([("account", ASCENDING), ("at", DESCENDING)]),
        IndexModel([("status", ASCENDING)], hidden=True),
    ],
    "documents": [IndexModel([("slug", ASCENDING)], unique=True), IndexModel([("title", TEXT)])],
    "sessions": [IndexModel([("seen", ASCENDING)], expireAfterSeconds=30 * _DAY)],
}


def create_collections(database: Database[Document]) -> None:
    """The collections that need options, and the view."""
    series = {"timeField": "at", "metaField": "host", "granularity": "minutes"}
    database.create_collection("metrics", timeseries=series, expireAfterSeconds=90 * _DAY)
    pipeline = [{"$match": {"status": "active"}}, {"$project": {"number": 1, "owner": 1, "balance": 1}}]
    database.create_collection(ACTIVE_VIEW, viewOn="accounts", pipeline=pipeline)


def create_indexes(database: Database[Document]) -> None:
    """All indexes: unique, compound, hidden, text and expiring ones."""
    for collection, indexes in _INDEXES.items():
        database[collection].create_indexes(indexes)


def account_number(index: int) -> str:
    """The number of an account by its place."""
    return f"AC-{index:06d}"


def transfer(client: Client, chance: Random, number: int, *, durable: bool) -> None:
    """Move money between two accounts and enter it into the ledger, in one transaction.

    `durable` waits until the transaction would survive a crash. Raises pymongo's errors.
    """
    database = client[DATABASE]
    payer, payee = (account_number(index) for index in chance.sample(range(ACCOUNTS), 2))
    amount = chance.randrange(100, 50_000)
    entry = {
        "kind": "transfer",
        "number": number,
        "account": payer,
        "payee": payee,
        "amount": Int64(amount),
        "currency": "EUR",
        "status": "settled",
        "reference": f"TR-{number:08d}",
    }

    def move(session: ClientSession) -> None:
        database.accounts.update_one({"number": payer}, {"$inc": {"balance": Int64(-amount)}}, session=session)
        database.accounts.update_one({"number": payee}, {"$inc": {"balance": Int64(amount)}}, session=session)
        database.transactions.insert_one(dict(entry), session=session)

    with client.start_session() as session:
        session.with_transaction(move, write_concern=WriteConcern("majority" if durable else 1))


def sum_of_balances(database: Database[Document]) -> int:
    """All money there is, in cents."""
    [found] = database.accounts.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$balance"}}}])
    return int(found["sum"])

"""Filling the application's database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from gridfs import GridFSBucket
from pymongo.database import Database

from drtool.operations.demo import application, contents
from drtool.operations.demo.application import DATABASE, FILE_NAME, Client, Document
from drtool.operations.demo.companions import Companions
from drtool.operations.demo.steps import SeedFigures

TRANSACTIONS = 40_000
TRANSFERS = 250
_DOCUMENTS = 1_500
_SESSIONS = 500
_HOSTS, _MINUTES = 3, 24 * 60
_FILE_BYTES = 6_000_000
_DOCUMENTS_AT_ONCE = 250


def seed(client: Client, companions: Companions, chance: Random) -> SeedFigures:
    """Make the database, and what stands beside it. Raises pymongo's errors."""
    database = client[DATABASE]
    now = datetime.now(UTC).replace(microsecond=0)
    application.create_collections(database)
    database.accounts.insert_many(contents.accounts(chance, now))
    month = timedelta(days=30)
    ledger = contents.transactions(chance, TRANSACTIONS, 0, now - month, month / TRANSACTIONS)
    database.transactions.insert_many(ledger)
    for first in range(0, _DOCUMENTS, _DOCUMENTS_AT_ONCE):
        database.documents.insert_many(contents.documents(chance, _DOCUMENTS_AT_ONCE, first, now))
    database.sessions.insert_many(contents.sessions(chance, _SESSIONS, now))
    database.metrics.insert_many(contents.metrics(chance, _HOSTS, _MINUTES, now), ordered=False)
    GridFSBucket(database).upload_from_stream(FILE_NAME, chance.randbytes(_FILE_BYTES))
    application.create_indexes(database)
    for number in range(1, TRANSFERS + 1):
        application.transfer(client, chance, number, durable=False)
    companions.make()
    return _figures(database, companions.follow(database))


def _figures(database: Database[Document], vectors: int) -> SeedFigures:
    listed = sorted(database.list_collections(), key=lambda found: str(found["name"]))
    names = [found["name"] for found in listed if not found["name"].startswith("system.")]
    stored = [found["name"] for found in listed if found["type"] == "collection" and found["name"] in names]
    [one] = database.documents.find({}, {"embedding": 1}).limit(1)
    [file] = database["fs.files"].find({"filename": FILE_NAME})
    return SeedFigures(
        database=database.name,
        collections={name: database[name].count_documents({}) for name in names},
        bytes=int(database.command("dbStats")["dataSize"]),
        dimensions=len(one["embedding"]),
        file_bytes=int(file["length"]),
        transfers=database.transactions.count_documents({"kind": "transfer"}),
        indexes=sum(1 for name in stored for _ in database[name].list_indexes()),
        vectors=vectors,
    )

"""What is measured: a database of small transactions and of documents with embeddings.

A process of its own makes it (``python -m tests.bench.workload URI DATABASE TRANSACTIONS DOCUMENTS``), so that its
memory is not inherited, and reported, by what is measured afterwards.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from pymongo import MongoClient

DATABASE = "bench"
TRANSACTIONS = 200_000
DOCUMENTS = 5_000
DIMENSIONS = 1_536
INDEXES = 3
_BATCH = 5_000
_WORDS = 3_000
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Workload:
    """What was made; ``bytes`` are those of its documents as BSON."""

    transactions: int
    documents: int
    bytes: int

    @property
    def records(self) -> int:
        """Documents of both collections."""
        return self.transactions + self.documents


def make(uri: str, scale: float) -> Workload:
    """Fill the database that is measured."""
    fill(uri, DATABASE, round(TRANSACTIONS * scale), round(DOCUMENTS * scale))
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        database = client[DATABASE]
        size = int(database.command("dbStats")["dataSize"])
        transactions = database.transactions.estimated_document_count()
        return Workload(transactions, database.documents.estimated_document_count(), size)


def fill(uri: str, database: str, transactions: int, documents: int) -> None:
    """Fill a database with so many of each."""
    command = [sys.executable, "-m", __name__, uri, database, str(transactions), str(documents)]
    subprocess.run(command, check=True)


def settle(uri: str) -> None:
    """Have the server write down what it holds in memory, lest that falls into a measurement."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        client.admin.command("fsync")


def drop(uri: str, database: str) -> None:
    """Drop a database."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        client.drop_database(database)


def count(uri: str, database: str) -> int:
    """How many documents the two collections of `database` hold."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        return sum(client[database][name].count_documents({}) for name in ("transactions", "documents"))


def _transaction(random: Random, words: list[str], number: int) -> dict[str, Any]:
    return {
        "account": f"acc-{random.randrange(20_000):06d}",
        "amount": random.randrange(1, 10**7) / 100,
        "currency": "EUR",
        "at": _START + timedelta(seconds=number * 13),
        "status": random.choice(("ok", "pending", "failed")),
        "memo": " ".join(random.choices(words, k=20)),
        "tags": random.choices(words, k=3),
        "ref": f"{random.getrandbits(128):032x}",
    }


def _document(random: Random, words: list[str], number: int) -> dict[str, Any]:
    uniform = random.random
    return {
        "doc": number,
        "text": " ".join(random.choices(words, k=120)),
        "embedding": [(uniform() - 0.5) * 0.1 for _ in range(DIMENSIONS)],
    }


def _runs(total: int, length: int) -> Iterator[range]:
    for start in range(0, total, length):
        yield range(start, min(total, start + length))


def _fill(uri: str, name: str, transactions: int, documents: int) -> None:
    random = Random(1)
    words = [f"{random.getrandbits(48):012x}" for _ in range(_WORDS)]
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        database = client[name]
        for run in _runs(transactions, _BATCH):
            database.transactions.insert_many([_transaction(random, words, number) for number in run])
        for run in _runs(documents, _BATCH // 10):
            database.documents.insert_many([_document(random, words, number) for number in run])
        database.transactions.create_index("account")
        database.transactions.create_index([("at", -1)])
        database.transactions.create_index("ref", unique=True)
        client.admin.command("fsync")


if __name__ == "__main__":
    _fill(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

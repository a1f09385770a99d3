"""Made-up records with a fixed seed: the same on each run, but for the times, which lie in the last days."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import sqrt
from random import Random

from bson.int64 import Int64
from bson.objectid import ObjectId

from drtool.operations.demo.application import ACCOUNTS, Document, account_number

DIMENSIONS = 1536

_FIRST = ("Ada", "Bela", "Chidi", "Dana", "Emre", "Frida", "Goran", "Hana", "Imani", "Jonas", "Keiko", "Lena")
_LAST = ("Abara", "Berg", "Costa", "Dietz", "Eriksen", "Farah", "Garcia", "Hoang", "Ivanova", "Jansen", "Kaya", "Lund")
_SHOPS = ("bakery", "bookshop", "cinema", "fuel", "groceries", "insurance", "pharmacy", "rent", "trains", "utilities")
_VOCABULARY = (
    "account agreement amount annual application balance bank branch business card cash charge claim "
    "closing condition consent contract credit customer daily debit deposit document due euro exchange "
    "fee form fraud general holder identity income instalment interest international legal liability "
    "limit loan minimum monthly mortgage notice online opening overdraft payment penalty period person "
    "policy premium private rate receipt refund request savings security service standing statement "
    "tariff tax term transfer transaction value withdrawal"
)
_WORDS = _VOCABULARY.split()


def object_id(chance: Random, at: datetime) -> ObjectId:
    """An id of that time."""
    return ObjectId(struct.pack(">I", int(at.timestamp())) + chance.randbytes(8))


def accounts(chance: Random, now: datetime) -> Iterator[Document]:
    """Accounts with an opening balance, which nobody has drawn on yet."""
    for index in range(ACCOUNTS):
        balance = Int64(chance.randrange(100_000, 5_000_000))
        opened = now - timedelta(days=4000 - index)
        yield {
            "_id": object_id(chance, opened),
            "number": account_number(index),
            "owner": f"{chance.choice(_FIRST)} {chance.choice(_LAST)}",
            "status": "active" if chance.random() < 0.85 else "dormant",
            "opened": opened,
            "opening": balance,
            "balance": balance,
        }


def transactions(chance: Random, count: int, first: int, start: datetime, step: timedelta) -> Iterator[Document]:
    """Card payments from number `first` on, one every `step`; the ledger of transfers lies among them."""
    for number in range(first, first + count):
        at = start + (number - first) * step
        yield {
            "_id": object_id(chance, at),
            "kind": "card",
            "account": account_number(chance.randrange(ACCOUNTS)),
            "amount": Int64(chance.randrange(100, 30_000)),
            "currency": "EUR",
            "at": at,
            "status": "settled" if chance.random() < 0.97 else "pending",
            "shop": chance.choice(_SHOPS),
            "reference": f"CP-{number:08d}-{chance.getrandbits(32):08x}",
        }


def documents(chance: Random, count: int, first: int, now: datetime) -> Iterator[Document]:
    """Passages with their embeddings: unit vectors of single precision, as models return them."""
    for number in range(first, first + count):
        words = chance.choices(_WORDS, k=90)
        yield {
            "_id": object_id(chance, now - timedelta(minutes=10_000 - number)),
            "slug": f"passage-{number:05d}",
            "title": " ".join(words[:4]).capitalize(),
            "page": number // 4,
            "text": " ".join(words),
            "embedding": _embedding(chance),
        }


def _embedding(chance: Random) -> list[float]:
    components = array("h", chance.randbytes(2 * DIMENSIONS))
    scale = 1 / sqrt(sum(component * component for component in components))
    return array("f", [component * scale for component in components]).tolist()


def sessions(chance: Random, count: int, now: datetime) -> Iterator[Document]:
    """Conversations with the assistant, of the last ten days."""
    for _ in range(count):
        seen = now - timedelta(seconds=chance.randrange(10 * 86_400))
        question = " ".join(chance.choices(_WORDS, k=12)) + "?"
        yield {
            "_id": object_id(chance, seen),
            "account": account_number(chance.randrange(ACCOUNTS)),
            "seen": seen,
            "questions": [question],
        }


def metrics(chance: Random, hosts: int, minutes: int, now: datetime) -> Iterator[Document]:
    """A measurement each minute from each host."""
    for minute in range(minutes):
        at = now - timedelta(minutes=minutes - minute)
        for host in range(hosts):
            yield {
                "_id": object_id(chance, at),
                "at": at,
                "host": f"web-{host + 1}",
                "load": round(chance.random() * 2, 2),
                "requests": chance.randrange(500),
            }

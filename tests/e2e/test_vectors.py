"""Documents with embeddings, from MongoDB into byte planes and back."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest

from tests.operations.site import Site, hashes
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy

DIMENSIONS = 1536
DOCUMENTS = 60


def _document(number: int) -> dict[str, Any]:
    """Every other embedding is of 32-bit floats; now and then there is none, or one of other values too."""
    random = Random(number)
    values = [random.gauss(0, 0.03) for _ in range(DIMENSIONS)]
    singles = list(struct.unpack(f"{DIMENSIONS}f", struct.pack(f"{DIMENSIONS}f", *values)))
    embedding: list[Any] = [singles, values, [], [*values, number]][number % 4 if number % 10 == 0 else number % 2]
    return {"_id": number, "text": f"{number} " * 100, "embedding": embedding, "parts": [values[:200], singles[:200]]}


def test_embeddings_come_back_bit_for_bit(site: Site, client: Client, database: str) -> None:
    client[database].documents.insert_many([_document(number) for number in range(DOCUMENTS)])
    size = int(client[database].command("dbStats")["dataSize"])
    taken = site.backup()
    site.ok("verify", taken["snapshot"], "--level", "readable")
    site.ok("restore", taken["snapshot"], "--rename", f"{database}={database}_back")
    assert hashes(client, f"{database}_back") == hashes(client, database)
    assert sum(path.stat().st_size for path in site.objects("packs")) < 0.5 * size

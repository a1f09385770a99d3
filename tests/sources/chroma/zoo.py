"""Collections with whatever Chroma makes awkward, and how they look without drtool."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drtool.sources.vectors.records import VECTORS, encode_item, encode_vectors

#: A client of chromadb, whose types are known only where it is installed.
Client = Any

_MANY = 700
_WIDE = 96


def vectors(count: int, dimensions: int, seed: int = 1) -> Any:
    """Normally distributed ones, of float32."""
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype("<f4")


def fill(client: Client) -> None:
    """One large collection, and small ones."""
    random.seed(5)
    ids = [f"{random.randrange(1 << 40):010x}" for _ in range(_MANY)]
    metadatas = [{"n": n, "share": n / 7, "even": n % 2 == 0, "tags": ["a", "b"]} for n in range(_MANY)]
    client.create_collection("large", embedding_function=None).add(
        ids=ids,
        embeddings=vectors(_MANY, _WIDE),
        documents=[f"document {n} " * 6 for n in range(_MANY)],
        metadatas=metadatas,
    )
    cosine = {"hnsw": {"space": "cosine", "ef_construction": 120, "max_neighbors": 12, "ef_search": 77}}
    client.create_collection("cosine", configuration=cosine, embedding_function=None).add(
        ids=[f"c{n}" for n in range(60)], embeddings=vectors(60, 8, seed=2)
    )
    client.create_collection(
        "inner",
        configuration={"hnsw": {"space": "ip"}},
        metadata={"owner": "Zoë", "version": 3, "ratio": 0.1, "live": True},
        embedding_function=None,
    ).add(
        ids=["ä", "a", "Z", "line\nbreak", "x" * 300, "日本"],
        embeddings=vectors(6, 3),
        documents=["", "plain", "ünïcode", "two\nlines", "x" * 100_000, "日本語"],
        uris=["file:///a", "b", "c", "d", "e", "f"],
    )
    client.create_collection("nothing", embedding_function=None, metadata={"empty": True})
    left = client.create_collection("emptied", embedding_function=None)
    left.add(ids=["a"], embeddings=vectors(1, 5))
    left.delete(ids=["a"])


def change(client: Client) -> None:
    """Add, alter and remove."""
    large = client.get_collection("large", embedding_function=None)
    ids = sorted(large.get(include=[])["ids"])
    large.delete(ids=ids[:100])
    large.update(ids=ids[200:210], metadatas=[{"n": -1}] * 10, embeddings=vectors(10, _WIDE, seed=9))
    large.add(ids=["new"], embeddings=vectors(1, _WIDE, seed=8))
    client.delete_collection("inner")
    client.create_collection("added", embedding_function=None).add(ids=["1"], embeddings=vectors(1, 2))


def listing(client: Client, prefix: str = "") -> Mapping[str, Sequence[bytes]]:
    """Every collection's records."""
    found: dict[str, Sequence[bytes]] = {}
    for each in client.list_collections():
        collection = client.get_collection(each.name, embedding_function=None)
        got = collection.get(include=["embeddings", "documents", "metadatas", "uris"])
        items, vectored = [], []
        for number in sorted(range(len(got["ids"])), key=lambda number: got["ids"][number].encode()):
            fields = {
                name: got[f"{name}s"][number]
                for name in ("document", "metadata", "uri")
                if got.get(f"{name}s") is not None and got[f"{name}s"][number] not in (None, {})
            }
            id_ = got["ids"][number]
            items.append(bytes(encode_item(id_, fields)[1]))
            vector = np.asarray(got["embeddings"][number], "<f4").tobytes()
            vectored.append(bytes(encode_vectors(id_, {"": vector})[1]))
        found[prefix + each.name] = items
        found[prefix + each.name + VECTORS] = vectored
    return found

"""A script: an application that adds, updates and deletes items of an embedded Chroma until its stdin ends.

``python writer.py DIRECTORY``. Items are added and deleted by the hundred, in order, so what belongs to one instant is
a run of ids without a gap; the vector of item n is n, n + 1, n + 2, n + 3.
"""

from __future__ import annotations

import select
import sys
from typing import Any

#: How many items there are at most.
HELD = 3000
STEP = 100


def items(first: int) -> dict[str, Any]:
    """A hundred items."""
    numbers = range(first, first + STEP)
    return {
        "ids": [f"{number:09}" for number in numbers],
        "embeddings": [[float(number + place) for place in range(4)] for number in numbers],
        "metadatas": [{"n": number} for number in numbers],
    }


def main(directory: str) -> None:
    """Write."""
    import chromadb

    settings = chromadb.config.Settings(anonymized_telemetry=False)
    collection = chromadb.PersistentClient(directory, settings=settings).create_collection(
        "live", embedding_function=None
    )
    first = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        collection.add(**items(first))
        if first == 0:
            print("writing", flush=True)
        if first >= HELD:
            collection.delete(ids=items(first - HELD)["ids"])
        first += STEP


if __name__ == "__main__":
    main(sys.argv[1])

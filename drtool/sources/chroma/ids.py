"""The ids of a collection, sorted, in a private file: a collection may have more of them than should be held."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

#: How many ids are asked for at once. More make the engine slower, not quicker.
BLOCK = 64


class Ids:
    """Ids in blocks of `BLOCK`. Read by several threads."""

    def __init__(self, path: Path, ids: Iterable[str]) -> None:
        self._path = path
        self._places = array("Q", [0])
        self._count = 0
        with path.open("wb") as file:
            rest = iter(ids)
            while block := list(islice(rest, BLOCK)):
                self._places.append(self._places[-1] + file.write(json.dumps(block).encode()))
                self._count += len(block)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return (id_ for block in self.blocks() for id_ in block)

    def blocks(self) -> Iterator[list[str]]:
        """All of them, in order."""
        with self._path.open("rb") as file:
            for number in range(len(self._places) - 1):
                yield json.loads(file.read(self._places[number + 1] - self._places[number]))

    def sample(self, count: int) -> list[str]:
        """At most so many, spread evenly; the same ones of the same ids."""
        blocks = len(self._places) - 1
        parts = min(count, blocks)
        chosen = [number * blocks // parts for number in range(parts)]
        found: list[list[str]] = []
        with self._path.open("rb") as file:
            for number in chosen:
                file.seek(self._places[number])
                found.append(json.loads(file.read(self._places[number + 1] - self._places[number])))
        each = -(-count // len(found)) if found else 0
        return [id_ for block in found for id_ in block[:each]][:count]

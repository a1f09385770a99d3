"""Who is measured, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from drtool.sources.mongodb.server import Server
from tests.bench import workload
from tests.bench.drtools import Drain, Drtool
from tests.bench.measure import Measured
from tests.bench.peers import installed
from tests.bench.place import Contestant, Place


def contestants(directory: Path, server: Server, records: int) -> list[Contestant]:
    """drtool, the ceiling, and the tools that are installed, each with a directory of its own."""
    makers: list[Callable[[Place], Contestant]] = [Drtool, Drain, *installed()]
    return [make(Place(directory / str(number), server, records)) for number, make in enumerate(makers)]


def rounds(
    taking_part: Sequence[Contestant], server: Server, parts: Sequence[str], runs: int
) -> Iterator[tuple[str, str, Measured]]:
    """Part, name and figures, `runs` times. Within a part the contestants take turns, so that all of them meet the same
    disturbances."""
    for _ in range(runs):
        for each in taking_part:
            each.begin()
        for part in parts:
            for each in taking_part:
                if part in each.parts:
                    workload.settle(server.uri)
                    yield part, each.name, each.parts[part]()

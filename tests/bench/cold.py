"""Random ids, and more data than the server's cache holds: reading in ``_id`` order where that is dear; the first time,
and when one per cent has changed anywhere, which is something in nearly every range.

Neighbours by ``_id`` lie anywhere, so each record may cost the server a page. The order that they lie in is the one
that mongodump reads. Before each run the operating system forgets what it holds of the server's files.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

from bson import Binary
from pymongo import MongoClient
from pymongo.collection import Collection

from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.bench import workload
from tests.bench.drtools import command, set_up
from tests.bench.measure import Measured
from tests.bench.place import Place

TITLE = "cold"
CACHE_GB = 0.25
_TIMES = 4
_RECORD_BYTES = 1_000
_AT_ONCE = 5_000
_DATABASE = "bench_cold"
_PEER = "mongodump | zstd -1 -T0"
_CHANGED = 0.01


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each contestant. Below a scale of 1 there is less than four times the cache."""
    records = round(_TIMES * CACHE_GB * (1 << 30) / _RECORD_BYTES * min(1.0, scale))
    options = ServerOptions(replica_set="bench", cache_gb=CACHE_GB)
    with (
        tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory,
        running(find_mongod(), options, Path(directory)) as server,
    ):
        _fill(server.uri, records)
        contestants = _contestants(Path(directory), server, records)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(runs):
            for name, measure in contestants.items():
                _forget(Path(directory))
                times[name].append(measure().seconds)
    size = records * _RECORD_BYTES
    lines = [f"{size / 1e6:,.0f} MB with random ids, {CACHE_GB} GB of server cache"]
    for name, taken in times.items():
        told = ""
        if name != _PEER and _PEER in times:
            ratio = median(mine / its for mine, its in zip(taken, times[_PEER], strict=True))
            told = f"  {ratio:.2f} × the time of mongodump"
        lines.append(f"  {name:<34} {median(taken):>6.2f} s {size / median(taken) / 1e6:>5.0f} MB/s{told}")
    return "\n".join(lines)


def _contestants(directory: Path, server: Server, records: int) -> dict[str, Callable[[], Measured]]:
    place = Place(directory / "drtool", server, records)

    def first() -> Measured:
        set_up(place, _DATABASE)
        workload.settle(server.uri)
        return place.run(command("backup"))

    def dump() -> Measured:
        other = Place(directory / "dump", server, records)
        other.empty()
        command = ["mongodump", "--quiet", f"--uri={server.uri}", f"--db={_DATABASE}", "--archive"]
        return other.run(command, ["zstd", "-1", "-T0", "-q", "-c"], stdout=other.directory / "dump")

    def after() -> Measured:
        _change(server.uri, round(records * _CHANGED))
        workload.settle(server.uri)
        _forget(directory)
        return place.run(command("backup"))

    found: dict[str, Callable[[], Measured]] = {"drtool, first backup": first, "drtool, 1 % changed anywhere": after}
    if which("mongodump") and which("zstd"):
        found[_PEER] = dump
    return found


def _fill(uri: str, records: int) -> None:
    chance = random.Random(7)
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client:
        collection: Collection[dict[str, Any]] = client[_DATABASE].records
        for start in range(0, records, _AT_ONCE):
            collection.insert_many(
                [
                    {"_id": Binary(chance.randbytes(16), 4), "n": number, "data": chance.randbytes(_RECORD_BYTES - 60)}
                    for number in range(start, min(records, start + _AT_ONCE))
                ]
            )
    workload.settle(uri)


def _change(uri: str, records: int) -> None:
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client:
        collection: Collection[dict[str, Any]] = client[_DATABASE].records
        sample = collection.aggregate([{"$sample": {"size": records}}, {"$project": {"_id": 1}}])
        collection.update_many({"_id": {"$in": [each["_id"] for each in sample]}}, {"$inc": {"n": 1}})


def _forget(directory: Path) -> None:
    """What is not written yet stays; the server has been told to write before."""
    for path in directory.rglob("*.wt"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

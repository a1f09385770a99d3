"""The backup after the first: what one per cent costs, and whether the size of the rest counts.

Two databases, one ten times as large as the other, each with a repository of its own. Documents are changed in one
block of neighbouring ids, as an import or a migration of the newest does.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.bench import workload
from tests.bench.drtools import command, set_up
from tests.bench.measure import FailedError
from tests.bench.place import Place

TITLE = "increments"
DOCUMENTS = 1_000_000
#: With fewer the smaller database has no two ranges, of which one could stay.
_LEAST = 40_000
_TIMES = 10
_BLOCK = 0.01


@dataclass(frozen=True, slots=True)
class _Backup:
    """A whole process: ``seconds``, and the bytes of new chunks before they were compressed."""

    seconds: float
    new: int


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each question."""
    documents = max(_LEAST, round(DOCUMENTS * scale))
    options = ServerOptions(replica_set="bench", cache_gb=1 + scale)
    with (
        tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory,
        running(find_mongod(), options, Path(directory)) as server,
    ):
        large = _Database(Path(directory), server, "bench_large", documents)
        small = _Database(Path(directory), server, "bench_small", documents // _TIMES)
        first = large.first()
        small.first()
        block, same = round(documents * _BLOCK), round(documents // _TIMES * _BLOCK)
        after, in_large, in_small = [], [], []
        for _ in range(runs):  # in turns, so that all meet the same disturbances
            after.append(large.after(block))
            in_large.append(large.after(same))
            in_small.append(small.after(same))
    seconds, new = median(each.seconds for each in after), median(each.new for each in after)
    large_seconds, small_seconds = (median(each.seconds for each in some) for some in (in_large, in_small))
    return "\n".join(
        [
            f"{documents:,} documents ({large.bytes / 1e6:.0f} MB), and {documents // _TIMES:,}",
            f"  first backup                            {first.seconds:.2f} s  {first.new / 1e6:.1f} MB of chunks",
            f"  after a change of 1 % in one block      {seconds:.2f} s  {new / 1e6:.1f} MB of new chunks:"
            f" {seconds / first.seconds:.2f} × the time, {100 * new / first.new:.1f} % of the bytes",
            f"  after {same:,} changes in the smaller one {small_seconds:.2f} s",
            f"  after {same:,} changes in the larger one  {large_seconds:.2f} s:"
            f" {large_seconds / small_seconds:.2f} × the time in a database {_TIMES} times larger",
        ]
    )


class _Database:
    """A database, and the repository that it is backed up to."""

    def __init__(self, directory: Path, server: Server, name: str, documents: int) -> None:
        self._place = Place(directory / name, server, documents)
        self._name, self._changes = name, 0
        workload.fill(server.uri, name, documents, 0)
        client: MongoClient[dict[str, Any]]
        with MongoClient(server.uri) as client:
            self.bytes = int(client[name].command("dbStats")["dataSize"])
        set_up(self._place, name)

    def first(self) -> _Backup:
        """The first backup."""
        return self._back_up()

    def after(self, changed: int) -> _Backup:
        """Change as many documents in one block, and back up. Raises ``FailedError`` for a full read."""
        self._changes += 1
        client: MongoClient[dict[str, Any]]
        with MongoClient(self._place.server.uri) as client:
            collection: Collection[dict[str, Any]] = client[self._name].transactions
            skipped = self._place.records * (1 + self._changes % 5) // 7
            begin = next(collection.find({}, {"_id": 1}).sort("_id", 1).skip(skipped).limit(1))["_id"]
            block = [each["_id"] for each in collection.find({"_id": {"$gte": begin}}, {"_id": 1}).limit(changed)]
            collection.update_many({"_id": {"$in": block}}, {"$set": {"changed": self._changes}})
        return self._back_up()

    def _back_up(self) -> _Backup:
        workload.settle(self._place.server.uri)
        out = self._place.directory / "out.json"
        measured = self._place.run(command("backup", "--json"), stdout=out)
        told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        backup = next(line for line in told if line["type"] == "backup")
        if self._changes and not backup["incremental"]:
            raise FailedError(f"an increment was expected, not a full read: {backup['full_because']}")
        return _Backup(measured.seconds, backup["bytes"]["new"])

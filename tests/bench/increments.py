"""The backup after the first: what one per cent costs, and whether the size of the rest counts.

Two databases, one ten times as large as the other, each with a repository of its own. Documents are changed in one
block of neighbouring ids, as an import or a migration of the newest does.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
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
DOCUMENTS = 3_000_000
_LEAST = 10_000
#: Of so few ranges all may have changed.
_FEW = 10
_TIMES = 10
_BLOCK = 0.01


@dataclass(frozen=True, slots=True)
class _Backup:
    """``seconds`` of the whole process, those of them that were ``work`` and not the start of Python and its modules,
    and the bytes of new chunks before they were compressed."""

    seconds: float
    work: float
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
    lines = [
        f"{documents:,} documents ({large.bytes / 1e6:.0f} MB), and {documents // _TIMES:,}",
        _line("first backup", [first], ""),
        _line("after a change of 1 % in one block", after, f"{_compared(after, [first])} the first"),
        _line(f"after {same:,} changes in the smaller", in_small, ""),
        _line("after the same in the larger one", in_large, f"{_compared(in_large, in_small)} those"),
    ]
    return "\n".join(lines)


def _line(what: str, backups: Sequence[_Backup], compared: str) -> str:
    seconds, work, new = _medians(backups)
    told = f"  {what:<34} {seconds:>6.2f} s, {work:>6.2f} s of it work, {new / 1e6:>6.1f} MB of new chunks"
    return f"{told}  {compared}".rstrip()


def _compared(ours: Sequence[_Backup], others: Sequence[_Backup]) -> str:
    (seconds, work, new), (their_seconds, their_work, their_new) = _medians(ours), _medians(others)
    times = f"{seconds / their_seconds:.2f} × the time, {work / their_work:.2f} × the work"
    return f"{times}, {new / their_new:.3f} × the bytes of"


def _medians(backups: Sequence[_Backup]) -> tuple[float, float, float]:
    return (
        median(each.seconds for each in backups),
        median(each.work for each in backups),
        median(each.new for each in backups),
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
        if self._changes and not backup["incremental"] and backup["ranges"]["total"] > _FEW:
            raise FailedError(f"an increment was expected, not a full read: {backup['full_because']}")
        return _Backup(measured.seconds, backup["seconds"], backup["bytes"]["new"])

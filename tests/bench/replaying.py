"""Doing again what an oplog holds: inserts, updates and deletions, in operations a second.

drtool is measured from the first entry to the last write, ``mongorestore --oplogReplay`` as a whole process; it runs
once only, for it takes half a minute. Both find the same records in a server of their own.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any, cast

from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, MongoClient, UpdateOne
from pymongo.database import Database

from drtool.sources.cutting import CutRule
from drtool.sources.mongodb import MongoSource
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.connection import RAW
from drtool.sources.mongodb.server import ServerOptions, running
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.reading import WHOLE
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.bench.measure import FailedError

TITLE = "replay"
OPERATIONS = 20_000
_DATABASE = "bench_replay"
_RECORDS = 10_000
_COLLECTIONS = ("users", "orders")
_AT_ONCE = 50
_CHUNK_ENTRIES = 4_000
_SEED = 20240229

Write = InsertOne[dict[str, Any]] | UpdateOne | DeleteOne


@dataclass(frozen=True, slots=True)
class _Taken:
    """A snapshot, what happened after it, and how many records there were at last."""

    point: Any
    items: tuple[RestoreItem, ...]
    chunks: dict[str, list[bytes]]
    log: list[bytes]
    left: dict[str, int]


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each contestant."""
    operations = max(200, round(OPERATIONS * scale))
    options = ServerOptions(replica_set="bench", cache_gb=1)
    with tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as name:
        directory = Path(name)
        with running(find_mongod(), options, directory) as source:
            taken = _take(source.uri, operations)
        with running(find_mongod(), options, directory) as target:
            times = [_drtool(target.uri, taken, number) for number in range(runs)]
            lines = [f"  drtool        {operations / median(times):>8,.0f} operations a second"]
            if which("mongorestore"):
                peer = _mongorestore(target.uri, taken, directory)
                lines.append(f"  mongorestore  {operations / peer:>8,.0f} operations a second")
    return "\n".join([f"replay of {operations:,} mixed operations", *lines])


def _take(uri: str, operations: int) -> _Taken:
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client, closing(MongoSource("app", uri=uri, databases=[_DATABASE])) as source:
        database: Database[dict[str, Any]] = client[_DATABASE]
        for name in _COLLECTIONS:
            database[name].insert_many([{"_id": i, "name": "x" * 100, "n": i} for i in range(_RECORDS)])
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            rule = CutRule.for_average(bytes(32), 150)
            read = {stream.name: list(view.chunks(stream, WHOLE, rule)) for stream in view.streams()}
            items = tuple(RestoreItem(stream, stream.name, _RECORDS, 0) for stream in view.streams())
            point = view.point
        _change(client, operations)
        oplog: Any = client["local"].get_collection("oplog.rs", codec_options=RAW)
        wanted = {"ts": {"$gte": Timestamp(*point["replay_from"])}}
        entries = cast("Iterable[RawBSONDocument]", oplog.find(wanted).sort("$natural", 1))
        chunks = {name: [chunk.data for chunk in chunks] for name, chunks in read.items()}
        return _Taken(point, items, chunks, [bytes(each.raw) for each in entries], _count(client))


def _change(client: MongoClient[dict[str, Any]], operations: int) -> None:
    """40 % inserts, 45 % updates and 15 % deletions; each is one entry of the oplog."""
    chance = random.Random(_SEED)
    here = {name: list(range(_RECORDS)) for name in _COLLECTIONS}
    waiting: dict[str, list[Write]] = {name: [] for name in _COLLECTIONS}
    for number in range(operations):
        name, kind = chance.choice(_COLLECTIONS), chance.random()
        records, at = here[name], chance.randrange(len(here[name]))
        if kind < 0.4:
            records.append(_RECORDS + number)
            waiting[name].append(InsertOne({"_id": records[-1], "name": "y" * 100, "n": number}))
        elif kind < 0.85:
            waiting[name].append(UpdateOne({"_id": records[at]}, {"$set": {"n": -number}}))
        else:
            records[at], records[-1] = records[-1], records[at]
            waiting[name].append(DeleteOne({"_id": records.pop()}))
        if len(waiting[name]) == _AT_ONCE:
            client[_DATABASE][name].bulk_write(waiting[name])
            waiting[name] = []
    for name, rest in waiting.items():
        if rest:
            client[_DATABASE][name].bulk_write(rest)


def _load(target: MongoTarget, taken: _Taken, number: int) -> RestorePlan:
    plan = RestorePlan(taken.items, f"bench-{number}", replace=True)
    target.begin(plan)
    for item in plan.items:
        target.load(item, taken.chunks[item.name])
    return plan


def _drtool(uri: str, taken: _Taken, number: int) -> float:
    chunks = [b"".join(taken.log[at : at + _CHUNK_ENTRIES]) for at in range(0, len(taken.log), _CHUNK_ENTRIES)]
    with closing(MongoTarget(uri)) as target:
        plan = _load(target, taken, number)
        started = time.perf_counter()
        target.replay(plan, taken.point, iter(chunks), None)
        seconds = time.perf_counter() - started
        target.finish(plan, lambda sentence: None)
    _check(uri, taken)
    return seconds


def _mongorestore(uri: str, taken: _Taken, directory: Path) -> float:
    with closing(MongoTarget(uri)) as target:
        target.finish(_load(target, taken, -1), lambda sentence: None)
    dump = directory / "dump"
    dump.mkdir()
    mine = [raw for raw in taken.log if _DATABASE.encode() in raw]
    dump.joinpath("oplog.bson").write_bytes(b"".join(mine))
    command: Sequence[str] = ["mongorestore", "--quiet", f"--uri={uri}", "--oplogReplay", str(dump)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise FailedError(f"mongorestore: exit code {done.returncode}\n{done.stderr[-2000:]}")
    _check(uri, taken)
    return seconds


def _check(uri: str, taken: _Taken) -> None:
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client:
        found = _count(client)
    if found != taken.left:
        raise FailedError(f"after the replay there are {found} records instead of {taken.left}")


def _count(client: MongoClient[dict[str, Any]]) -> dict[str, int]:
    return {name: client[_DATABASE][name].count_documents({}) for name in _COLLECTIONS}

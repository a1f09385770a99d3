"""A snapshot and the oplog after it, replayed into another database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, cast

from bson import Timestamp
from bson.raw_bson import RawBSONDocument

from drtool.sources.mongodb import MongoSource
from drtool.sources.mongodb.definitions import differences
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import Replayed, RestorePlan, Stop
from tests.sources.contract import Copy, back_up, load_all, read_all
from tests.sources.mongo import RAW, Client, plan_renamed, source_of

SUFFIX = "_replayed"


@dataclass(frozen=True)
class Taken:
    """A snapshot in memory, and its point."""

    source: MongoSource
    point: Mapping[str, Any]
    copies: dict[str, Copy]

    def plan(self, *pairs: str, only: Iterable[str] = (), marker: str = "m") -> RestorePlan:
        """Everything under the names of the pairs (by default the database with `SUFFIX`); with `only`, those
        collections, and nothing that comes beside them."""
        wanted = set(only)
        copies = {name: copy for name, copy in self.copies.items() if not wanted or name in wanted}
        if not pairs:
            pairs = tuple(f"{each}={each}{SUFFIX}" for each in sorted({name.partition(".")[0] for name in copies}))
        plan = plan_renamed(self.source, copies, *pairs, marker=marker)
        if not wanted:
            return plan
        return replace(plan, name_of={item.stream.name: item.name for item in plan.items}.get)


def take(uri: str, *databases: str) -> Taken:
    """A snapshot of what there is."""
    source = source_of(uri, *databases)
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        return Taken(source, view.point, read_all(view))


def now(client: Client) -> Timestamp:
    """When the newest operation was, whosever it is."""
    found: Timestamp = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
    return found


def entries(client: Client, since: Sequence[int]) -> list[bytes]:
    """All entries from a place on."""
    oplog = client["local"].get_collection("oplog.rs", codec_options=RAW)
    found = cast("Iterable[RawBSONDocument]", oplog.find({"ts": {"$gte": Timestamp(*since)}}).sort("$natural", 1))
    return [bytes(each.raw) for each in found]


def pair(ts: Timestamp) -> list[int]:
    """As in a point."""
    return [ts.time, ts.inc]


def replay(
    target: MongoTarget,
    taken: Taken,
    plan: RestorePlan,
    log: Sequence[bytes],
    stop: Stop | None = None,
    since: Mapping[str, Any] | None = None,
) -> Replayed:
    """Load the snapshot, rehearse, replay the log, finish."""
    target.begin(plan)
    load_all(target, plan, taken.copies)
    target.rehearse(plan, since or taken.point, log, stop)
    done = target.replay(plan, since or taken.point, log, stop)
    target.finish(plan, lambda sentence: None)
    return done


def replay_all(uri: str, client: Client, taken: Taken, plan: RestorePlan | None = None) -> Replayed:
    """To the end of what the oplog holds just now."""
    log = entries(client, taken.point["replay_from"])
    with closing(MongoTarget(uri)) as target:
        return replay(target, taken, plan or taken.plan(), log)


def check_same(uri: str, client: Client, original: str) -> None:
    """Collections, views, records, options and indexes are the same in the database and in its copy, and no more is
    there."""
    check_equal(back_up(source_of(uri, original)), back_up(source_of(uri, original + SUFFIX)), original)
    assert [name for name in client[original + SUFFIX].list_collection_names() if name.startswith("drtool")] == []


def check_equal(wanted: Mapping[str, Copy], found: Mapping[str, Copy], original: str) -> None:
    """The same of two snapshots."""
    renamed = {f"{original}.{name.partition('.')[2]}": copy for name, copy in found.items()}
    assert sorted(renamed) == sorted(wanted)
    for name, copy in wanted.items():
        assert renamed[name].data == copy.data, name
        assert list(differences(copy.stream.definition, renamed[name].stream.definition)) == [], name

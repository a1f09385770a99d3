"""What changed between an earlier instant of a replica set and a later one, and what keeps drtool from telling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from drtool.errors import AuthenticationError, OplogTruncatedError
from drtool.sources.mongodb.catalogue import Entry
from drtool.sources.mongodb.connection import UNAUTHORIZED
from drtool.sources.mongodb.oplog.marks import Marks
from drtool.sources.mongodb.oplog.reading import Oplog, shown
from drtool.sources.mongodb.oplog.touched import Pass, UnknowableError
from drtool.sources.reading import Base, Changes

Point = Mapping[str, Any]
"""A ``MongoView.point``."""


def find_changes(
    oplog: Oplog, since: Point, now: Point, entries: Mapping[str, Entry], bases: Mapping[str, Base]
) -> Changes:
    """What changed from `since` to `now` in the streams that have bases, by the name that `entries` knows them under.

    Raises drtool's errors where the server fails; whatever makes a full read necessary is in the result.
    """
    if not bases:
        return Changes()
    because = _why_unrelated(since, now)
    if because:
        return Changes(full_because=because)
    marks = {name: Marks(base, _why_not(entries[name])) for name, base in bases.items()}
    try:
        _check_base(oplog, since, now)
        _pass_over(oplog, since, now, entries, marks)
    except (UnknowableError, OplogTruncatedError) as error:
        return Changes(full_because=str(error))
    except AuthenticationError as error:
        if not isinstance(error.__cause__, OperationFailure) or error.__cause__.code != UNAUTHORIZED:
            raise
        return Changes(
            full_because="the oplog may not be read: the account needs the role `backup`, or `find` on local.oplog.rs"
        )
    return Changes(
        touched={name: found.chunks for name, found in marks.items() if found.chunks and not found.full},
        full={name: found.full for name, found in marks.items() if found.full},
    )


def timestamp(point: Point, name: str) -> Timestamp:
    """A [seconds, increment] of a point."""
    seconds, increment = point[name]
    return Timestamp(seconds, increment)


def why_no_oplog(point: Point) -> str:
    """Why a point lies in no oplog; empty where it does."""
    if "cluster_time" in point and "replay_from" in point:
        return ""
    return f"it is of a {point.get('topology', 'server')} that cannot be read at one instant"


def _why_unrelated(since: Point, now: Point) -> str:
    """Why two points cannot be of one history; empty where they can."""
    for point, which in ((since, "the base"), (now, "this backup")):
        because = why_no_oplog(point)
        if because:
            return f"{which} has no place in an oplog: {because}"
    if since["set_id"] != now["set_id"]:
        return f"the base is of another replica set ({since['set_id']}; this one is {now['set_id']})"
    if timestamp(since, "cluster_time") > timestamp(now, "cluster_time"):
        return "the base is newer than what the server holds: it was set back, or another member lags behind"
    return ""


def _why_not(entry: Entry) -> str:
    """Why changes of a stream cannot be told by its ids; empty where they can."""
    if not entry.definition.keyed:
        return "its records are not in the order of their ids"
    if entry.uuid is None:
        return "it has no UUID of its own to look for in the oplog"
    return "its collation is not simple" if entry.definition.has_collation else ""


def _check_base(oplog: Oplog, since: Point, now: Point) -> None:
    """Is the base's newest entry still there, unchanged? And is this instant's there already?"""
    oplog.require(timestamp(since, "replay_from"))
    base = timestamp(since, "cluster_time")
    found = oplog.at(base)
    if found is None or found.term != since["term"]:
        missing = "not in the oplog" if found is None else f"of the term {found.term} now, not {since['term']}"
        raise UnknowableError(
            f"the newest entry of the base ({shown(base)}) is {missing}: the server was restored or rolled back"
        )
    oplog.fetch(timestamp(now, "cluster_time"))


def _pass_over(
    oplog: Oplog, since: Point, now: Point, entries: Mapping[str, Entry], marks: Mapping[str, Marks]
) -> None:
    by_uuid: dict[bytes, Marks] = {}
    names: dict[str, bytes] = {}
    for name, found in marks.items():
        entry = entries[name]
        if entry.uuid is not None and not found.full:
            by_uuid[entry.uuid] = found
            names[f"{entry.database}.{entry.records_in}"] = entry.uuid
    if by_uuid:
        start, base, through = (
            timestamp(since, "replay_from"),
            timestamp(since, "cluster_time"),
            timestamp(now, "cluster_time"),
        )
        Pass(oplog, by_uuid, names).run(start, base, through)

"""Choosing the instant of a view, and the catalogue that belongs to it.

On a replica set the instant T is the majority commit point once that has passed the first listing of the
catalogue. A second listing after T that equals the first shows that both are the catalogue at T; otherwise a new T
is chosen. Whatever escapes that (a collection renamed away and back) the reads at T report by error 246.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from drtool.errors import InstantMovedError, SourceError
from drtool.sources.mongodb.catalogue import CatalogueChangedError, Entry, Size, estimate
from drtool.sources.mongodb.connection import UNAUTHORIZED, Client, Deployment
from drtool.sources.reading import Consistency

_ATTEMPTS = 8
_MAJORITY_SECONDS = 20.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Frozen:
    """An instant and its catalogue. ``instant`` is None where the server knows no common one; ``at`` is it as a
    time."""

    instant: Timestamp | None
    at: datetime
    point: dict[str, Any]
    consistency: Consistency
    entries: tuple[Entry, ...]
    sizes: dict[str, Size]


def freeze(client: Client, deployment: Deployment, list_entries: Callable[[], Sequence[Entry]]) -> Frozen:
    """Fix the instant. Raises ``InstantMovedError`` where the catalogue does not stand still, and pymongo's
    errors."""
    for _ in range(_ATTEMPTS):
        try:
            before = list_entries()
            sizes = {entry.name: _estimate(client, entry) for entry in before}
            if deployment.has_instants:
                listed = last_applied(client)
                replay_from = _replay_from(client, listed)
                instant, term = majority_point(client, listed)
                point = {
                    "cluster_time": _pair(instant),
                    "replay_from": _pair(replay_from),
                    "term": term,
                    "set_id": deployment.identity,
                    "member": deployment.address,
                    "version": deployment.version,
                }
                at = datetime.fromtimestamp(instant.time, UTC)
                frozen = Frozen(instant, at, point, Consistency.EXACT, tuple(before), sizes)
            else:
                point = {"version": deployment.version, "topology": deployment.topology}
                frozen = Frozen(None, datetime.now(UTC), point, Consistency.FUZZY, tuple(before), sizes)
            if _same(before, list_entries()):
                return frozen
        except CatalogueChangedError:
            continue
    raise InstantMovedError(
        f"collections or indexes were created, altered or dropped in each of {_ATTEMPTS} attempts to fix an instant",
        hint="Run again when the schema stands still.",
    )


def list_patiently(list_entries: Callable[[], Sequence[Entry]]) -> Sequence[Entry]:
    """The catalogue, listed again while it changes under the listing. Raises ``InstantMovedError`` and pymongo's
    errors."""
    for _ in range(_ATTEMPTS):
        try:
            return list_entries()
        except CatalogueChangedError:
            continue
    raise InstantMovedError("collections are dropped faster than they can be listed")


def _same(before: Sequence[Entry], after: Sequence[Entry]) -> bool:
    return [_facts(entry) for entry in before] == [_facts(entry) for entry in after]


def _facts(entry: Entry) -> tuple[bytes, str, bytes | None]:
    return entry.definition.encode(), entry.records_in, entry.uuid


def _estimate(client: Client, entry: Entry) -> Size:
    try:
        return estimate(client, entry)
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            return Size()
        raise CatalogueChangedError(entry.name) from error


def last_applied(client: Client) -> Timestamp:
    """The newest operation that the member has applied."""
    applied: Timestamp = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
    return applied


def _replay_from(client: Client, now: Timestamp) -> Timestamp:
    """From where the oplog must be replayed to have all transactions whole that are open after `now`.

    Those open already say where they began; any other writes its first entry after `now`.
    """
    command = {
        "find": "transactions",
        "filter": {"state": {"$in": ["prepared", "inProgress"]}, "startOpTime": {"$exists": True}},
        "projection": {"startOpTime": 1},
        "sort": {"startOpTime.ts": 1},
        "limit": 1,
        "singleBatch": True,
    }
    try:
        reply = client["config"].command(command)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return now
    starts: list[Timestamp] = [found["startOpTime"]["ts"] for found in reply["cursor"]["firstBatch"]]
    return min([*starts, now])


def majority_point(client: Client, not_before: Timestamp) -> tuple[Timestamp, int]:
    """The majority commit point, and its term, once it is not before the time given.

    Raises ``SourceError`` where it stays behind.
    """
    deadline = time.monotonic() + _MAJORITY_SECONDS
    while True:
        point = client.admin.command("hello")["lastWrite"]["majorityOpTime"]
        if point["ts"] >= not_before:
            return point["ts"], int(point["t"])
        if time.monotonic() > deadline:
            raise SourceError(
                f"the majority commit point has been behind for {_MAJORITY_SECONDS:.0f} seconds",
                hint="A majority of the replica set's members must be up and keep pace: see rs.status().",
            )
        time.sleep(_POLL_SECONDS)


def _pair(timestamp: Timestamp) -> list[int]:
    return [timestamp.time, timestamp.inc]

"""Which database of a target a stream goes to, and the key that says so while a restore is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drtool.errors import SourceError
from drtool.sources.extras import require
from drtool.sources.redis.connection import Client, Server, connect
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import MARKER, database_of, excluding
from drtool.sources.restoring import RestoreItem

_NAME, _RESTORE = b"name", b"restore"
#: How many databases a server has that does not say: Redis' default.
_USUAL_DATABASES = 16
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A stream and its database, with what that holds: ``keys`` but for the marker; the restore that the marker is of
    (empty: of a finished one, or there is none)."""

    item: RestoreItem
    database: int
    keys: int
    marker: str
    is_marked: bool

    @property
    def definition(self) -> Definition:
        """The stream's definition."""
        return Definition.decode(self.item.stream.definition)

    @property
    def is_beside(self) -> bool:
        """Does it go to a free database, which keeps its name?"""
        return database_of(self.item.name) is None


def places(uri: str, server: Server, items: Iterable[RestoreItem]) -> list[Place]:
    """Where each stream goes: ``dbN`` to database N; any other name to the database that has it, else to the last one
    that is empty. ``SourceError`` where there is no such database."""
    items = list(items)
    client = connect(uri)
    try:
        count = _count(client)
        marks = {number: _mark(uri, number) for number in server.databases}
    finally:
        client.close()
    named = {name: number for number, (name, _) in marks.items() if name}
    taken = {number for item in items if (number := database_of(item.name)) is not None} | set(server.databases)
    found = []
    for item in items:
        number = database_of(item.name)
        if number is None:
            number = named.get(item.name)
        if number is None:
            number = next((each for each in reversed(range(count)) if each not in taken), None)
            if number is None:
                raise SourceError(
                    f"all {count} databases of the server hold something: there is none for {item.name}",
                    hint="Restore to another server with --to URI, or into a database with --rename db0=dbN.",
                )
            taken.add(number)
        if number >= count:
            raise SourceError(
                f"{item.name}: the server has no database {number}, its last is {count - 1}",
                hint="Raise databases in its configuration, or restore into another one with --rename db0=dbN.",
            )
        name, restore = marks.get(number, ("", ""))
        is_marked = bool(name or restore)
        found.append(Place(item, number, server.databases.get(number, 0) - is_marked, restore, is_marked))
    return found


def _count(client: Client) -> int:
    errors = require("redis", "redis").exceptions
    try:
        return int(client.config_get("databases").get("databases", _USUAL_DATABASES))
    except errors.ResponseError:  # no right to ask, or no such command
        return _USUAL_DATABASES


def _mark(uri: str, database: int) -> tuple[str, str]:
    """The name that a database has, and the restore that is on its way into it."""
    client = connect(uri, database=database)
    try:
        if client.type(MARKER) != b"hash":
            return "", ""
        name, restore = client.hmget(MARKER, [_NAME, _RESTORE])
    finally:
        client.close()
    return (name or b"").decode(errors="replace"), (restore or b"").decode(errors="replace")


def unsaved(uri: str, place: Place, unread: Sequence[str]) -> bytes | None:
    """A key of the place's database that fits a pattern of `unread`, and that the stream may hold; None where there is
    none."""
    left_out = place.definition.exclude
    if not place.keys or set(unread) <= set(left_out):
        return None
    is_unread, was_left_out = excluding(unread), excluding(left_out)
    client = connect(uri, database=place.database)
    try:
        return next((key for key in client.scan_iter(count=_BATCH) if is_unread(key) and not was_left_out(key)), None)
    finally:
        client.close()


def clear(uri: str, place: Place, unread: Sequence[str]) -> None:
    """Remove what is in the place's database, but for keys that its backup left out, or that fit `unread`."""
    patterns = (*place.definition.exclude, *unread)
    client = connect(uri, database=place.database)
    try:
        if not patterns:
            client.flushdb()
            return
        spared = excluding(patterns)
        batch = []
        for key in client.scan_iter(count=_BATCH):
            if key == MARKER or not spared(key):
                batch.append(key)
            if len(batch) == _BATCH:
                client.unlink(*batch)
                batch = []
        if batch:
            client.unlink(*batch)
    finally:
        client.close()


def mark(uri: str, place: Place, marker: str) -> None:
    """Say that a restore is on its way."""
    client = connect(uri, database=place.database)
    try:
        client.hset(MARKER, mapping={_NAME: place.item.name, _RESTORE: marker})
    finally:
        client.close()


def unmark(uri: str, place: Place) -> None:
    """It is done: a database beside the original keeps its name."""
    client = connect(uri, database=place.database)
    try:
        if place.is_beside:
            client.hdel(MARKER, _RESTORE)
        else:
            client.delete(MARKER)
    finally:
        client.close()

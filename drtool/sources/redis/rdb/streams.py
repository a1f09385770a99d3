"""The values of streams: entries, groups, consumers and what is pending."""

from __future__ import annotations

from dataclasses import dataclass

from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.strings import read_length, read_string

_ID, _TIME = 16, 8


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer: what is pending with it are ids; times are as they are written. ``active`` came with Redis 7.2."""

    name: bytes
    seen: bytes
    pending: tuple[bytes, ...]
    active: bytes | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of consumers: what is pending are ids with delivery time and count. ``entries_read`` came with Redis
    7.0."""

    name: bytes
    last: tuple[int, ...]
    pending: tuple[tuple[bytes, bytes, int], ...]
    consumers: tuple[Consumer, ...]
    entries_read: int | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream. ``nodes`` are runs of entries by their first id; ``ends`` are length and last id; ``more`` came with
    Redis 7.0: first id, largest deleted id, entries ever added."""

    nodes: tuple[tuple[bytes, bytes], ...]
    ends: tuple[int, ...]
    more: tuple[int, ...] | None
    groups: tuple[Group, ...]


class _Reader:
    def __init__(self, value: bytes) -> None:
        self._value, self._at = value, 1

    def length(self) -> int:
        length, self._at = read_length(self._value, self._at)
        return length

    def lengths(self, count: int) -> tuple[int, ...]:
        return tuple(self.length() for _ in range(count))

    def string(self) -> bytes:
        text, self._at = read_string(self._value, self._at)
        return text

    def raw(self, size: int) -> bytes:
        self._at += size
        return self._value[self._at - size : self._at]


def stream(value: bytes) -> Stream:
    """What a value of one of the types of streams is."""
    version = {types.STREAM: 1, types.STREAM_2: 2, types.STREAM_3: 3}[value[0]]
    reader = _Reader(value)
    nodes = tuple((reader.string(), reader.string()) for _ in range(reader.length()))
    ends = reader.lengths(3)
    more = reader.lengths(5) if version > 1 else None
    return Stream(nodes, ends, more, tuple(_group(reader, version) for _ in range(reader.length())))


def _group(reader: _Reader, version: int) -> Group:
    name, last = reader.string(), reader.lengths(2)
    entries_read = reader.length() if version > 1 else None
    pending = tuple((reader.raw(_ID), reader.raw(_TIME), reader.length()) for _ in range(reader.length()))
    consumers = tuple(_consumer(reader, version) for _ in range(reader.length()))
    return Group(name, last, pending, consumers, entries_read)


def _consumer(reader: _Reader, version: int) -> Consumer:
    name, seen = reader.string(), reader.raw(_TIME)
    active = reader.raw(_TIME) if version > 2 else None
    return Consumer(name, seen, tuple(reader.raw(_ID) for _ in range(reader.length())), active)


def as_old(value: Stream, *, without_7_0: bool) -> Stream:
    """The same as a server would have written it before Redis 7.2, or before 7.0."""
    groups = tuple(
        Group(
            group.name,
            group.last,
            group.pending,
            tuple(Consumer(one.name, one.seen, one.pending, None) for one in group.consumers),
            None if without_7_0 else group.entries_read,
        )
        for group in value.groups
    )
    return Stream(value.nodes, value.ends, None if without_7_0 else value.more, groups)

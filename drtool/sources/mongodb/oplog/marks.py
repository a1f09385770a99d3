"""Which chunks of a base were touched, by the ids that were written to. Only the marks are kept, not the ids."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from drtool.sources.mongodb.oplog.order import HIGHEST, sort_key, sort_keys
from drtool.sources.reading import Base

_NO_ORDER = "it has an _id of a type whose order is not implemented"


class Marks:
    """Marks the chunks of one stream's base.

    ``add`` takes an encoded key (``order``); `flush` marks what was added. ``chunks`` are the marks, by group; where
    ``full`` is not empty it says why they mean nothing.
    """

    __slots__ = ("_base", "_bounds", "_firsts", "_waiting", "add", "chunks", "full")

    def __init__(self, base: Base, full: str = "") -> None:
        self._base = base
        self._bounds: dict[int, list[bytes]] = {}
        self._waiting: list[bytes] = []
        self.add = self._waiting.append
        self.chunks: dict[int, set[int]] = {}
        self.full = full
        self._firsts = [] if full else self._encoded(base.firsts())

    def give_up(self, reason: str) -> None:
        """The stream must be read in full; the first reason stands."""
        self.full = self.full or reason

    def touch(self, key: bytes) -> None:
        """Mark the chunk that the record key belongs to, with the next `flush`."""
        encoded = sort_key(key)
        if encoded is None:
            self.give_up(_NO_ORDER)
        else:
            self.add(encoded)

    def flush(self) -> None:
        """Mark the chunks of all keys added: sorted, they cost one search for each chunk, not for each key."""
        keys = self._waiting
        keys.sort()
        at = 0
        while at < len(keys) and not self.full:
            at = bisect_left(keys, self._mark(keys[at]), at)
        keys.clear()

    def _mark(self, encoded: bytes) -> bytes:
        """Mark the chunk of an encoded key; returns where the next one begins."""
        group = max(0, bisect_right(self._firsts, encoded) - 1)
        bounds = self._bounds.get(group)
        if bounds is None:
            bounds = self._bounds[group] = self._encoded(self._base.bounds(group))
        following = bisect_right(bounds, encoded)
        self.chunks.setdefault(group, set()).add(max(0, following - 1))
        if following < len(bounds):
            return bounds[following]
        return self._firsts[group + 1] if group + 1 < len(self._firsts) else HIGHEST

    def _encoded(self, keys: Sequence[bytes]) -> list[bytes]:
        encoded = sort_keys(keys)
        if encoded is None:
            self.give_up(_NO_ORDER)
        return encoded or []

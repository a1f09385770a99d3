"""Counting the requests that a store gets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from drtool.storage.base import Capabilities, ObjectInfo, Storage
from drtool.storage.probing import probe

S = TypeVar("S", bound=Storage)

#: How many objects an answer to a listing holds.
_LISTED_AT_ONCE = 1000
#: The methods that are a request each.
_REQUESTS = frozenset({"put", "get", "head", "delete", "set_lock", "keeps_versions", "keeping", "rights", "now"})
#: Asked of the store once, then known.
_ASKED_ONCE = frozenset({"keeps_versions"})


class RequestCount:
    """How many requests there were, from any thread: as many as S3 gets for the same calls."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.kinds.values())

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind, by the methods of ``Storage``."""
        with self._lock:
            return dict(self._kinds)

    def add(self, kind: str) -> None:
        """There was one more."""
        with self._lock:
            self._kinds[kind] = 1 if kind in _ASKED_ONCE else self._kinds[kind] + 1

    def of(self, storage: S) -> S:
        """The same storage, whose requests are counted here."""
        return cast(S, _Counted(storage, self))


class _Counted:
    def __init__(self, storage: Storage, count: RequestCount) -> None:
        self._storage = storage
        self._count = count

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._storage, name)
        if name in {"list", "list_versions"}:
            return self._listing(name, value)
        if name not in _REQUESTS:
            return value

        def counted(*arguments: Any, **options: Any) -> Any:
            self._count.add(name)
            return value(*arguments, **options)

        return counted

    def probe(self) -> Capabilities:
        """The requests that trying consists of."""
        return probe(cast(Storage, self))

    def _listing(self, name: str, call: Callable[[str], Iterator[ObjectInfo]]) -> Callable[[str], Iterator[ObjectInfo]]:
        """An answer for each thousand; one where there is nothing."""

        def counted(prefix: str = "") -> Iterator[ObjectInfo]:
            self._count.add(name)
            for number, info in enumerate(call(prefix)):
                if number and number % _LISTED_AT_ONCE == 0:
                    self._count.add(name)
                yield info

        return counted

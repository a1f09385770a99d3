"""Deleting several objects for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from drtool.repository.erasing import erase
from drtool.storage.base import Storage

__all__ = ["erase", "erase_all"]

_AT_ONCE = 8


def erase_all(storage: Storage, names: Iterable[str], check: Callable[[], None]) -> Iterator[tuple[str, bool]]:
    """Delete several objects, a few at a time; each name with what `erase` says. `check` is called right before each,
    and its error ends everything."""

    def one(name: str) -> tuple[str, bool]:
        check()
        return name, erase(storage, name)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="erase") as pool:
        yield from pool.map(one, names)

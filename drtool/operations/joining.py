"""Streams that complete another one (``StreamInfo.beside``): taken together, and counted as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from drtool.errors import DamagedObjectError
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Loaded


class Item(Protocol):
    """A stream as a plan holds it: to be restored, or to be exported."""

    @property
    def stream(self) -> StreamInfo:
        """The stream."""

    @property
    def records(self) -> int:
        """How many records the manifest says it has."""

    @property
    def bytes(self) -> int:
        """And how many bytes."""


_Item = TypeVar("_Item", bound=Item)


@dataclass(frozen=True, slots=True)
class Joined(Generic[_Item]):
    """A stream, and those that complete it; mostly there are none."""

    main: _Item
    beside: tuple[_Item, ...] = ()

    @property
    def all(self) -> tuple[_Item, ...]:
        """The stream, then what completes it: the order in which results are told."""
        return (self.main, *self.beside)

    @property
    def bytes(self) -> int:
        """How many bytes they have together."""
        return sum(item.bytes for item in self.all)

    def short(self, written: Sequence[Loaded]) -> list[str]:
        """Of which streams not every record was written, as ``name: 9 of 10``."""
        return [
            f"{item.stream.name}: {one.records} of {item.records}"
            for item, one in zip(self.all, written, strict=True)
            if one.records != item.records
        ]


def joined(items: Iterable[_Item]) -> list[Joined[_Item]]:
    """What is to be taken together, in the order of the streams that are completed.

    ``DamagedObjectError`` for a stream that completes one which is not among them.
    """
    beside: dict[str, list[_Item]] = {}
    mains: list[_Item] = []
    for item in items:
        if item.stream.beside:
            beside.setdefault(item.stream.beside, []).append(item)
        else:
            mains.append(item)
    found = [Joined(item, tuple(beside.pop(item.stream.name, ()))) for item in mains]
    for name, left in beside.items():
        raise DamagedObjectError(f"the snapshot holds {left[0].stream.name}, but not {name}, which it completes")
    return found


def own_streams(items: Iterable[_Item]) -> list[_Item]:
    """Those that are streams of their own for whoever reads a list: what completes another one is part of it."""
    return [item for item in items if not item.stream.beside]

"""Where parts of a collection begin and end as its records lie.

A part is a range of ``_id`` and the stretch of records, one behind the other, in which just these lie. That it is so is
looked up around each border only; whoever reads the stretches finds out about the rest. Stretches cover everything once
and each is shown to hold nothing outside of its range, so together they hold all of each range. One of them alone
proves nothing: what belongs to its range may lie in another stretch, whose reader is the one to meet it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import TypeVar

from pymongo.errors import OperationFailure

from drtool.errors import SourceError
from drtool.sources.mongodb.batches import Documents, joined
from drtool.sources.mongodb.cursors import Collection, Reader
from drtool.sources.mongodb.insertion.window import OutOfOrderError, in_order, up_to
from drtool.sources.mongodb.keys import find_element, int64, key_of
from drtool.sources.reading import KeyRange

#: So many records are looked at for a border: a place where none before belongs behind it. Those of the first half are
#: there to be before it.
_NEIGHBOURS = 400
_OBJECT_ID, _INT64 = 0x07, 0x12

T = TypeVar("T")


class _NotToldError(Exception):
    """The server gave no record id, or one that is no number."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A record: its id in the storage engine, and its key."""

    record: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """The records behind one record, up to and with another; None is no bound."""

    behind: Spot | None
    through: Spot | None


def lay(reader: Reader, collection: Collection, ranges: Sequence[KeyRange]) -> dict[KeyRange, Stretch]:
    """Ranges that hold ``together``, near those given, with the stretches they lie in, in order; empty where records
    do not lie in the order of ``_id``, or this server does not tell."""
    borders: list[tuple[Spot, bytes]] = []
    for each in ranges[1:]:
        border = told(partial(_border, reader, collection, each.lower or b""))
        if border is None:
            return {}
        if not borders or border != borders[-1]:
            borders.append(border)
    if not borders or not _ascend(borders):
        return {}
    keys = [None, *(key for _, key in borders), None]
    spots = [None, *(spot for spot, _ in borders), None]
    return {
        KeyRange(keys[number], keys[number + 1], together=True): Stretch(spots[number], spots[number + 1])
        for number in range(len(borders) + 1)
    }


def read(reader: Reader, collection: Collection, part: KeyRange, stretch: Stretch) -> Iterator[Documents]:
    """The documents of a range in order. Raises ``OutOfOrderError``, after some, where they are not those
    of the stretch, or cannot be put in order."""
    return in_order(_lying(reader, collection, stretch), part.lower, part.upper)


def _lying(reader: Reader, collection: Collection, stretch: Stretch) -> Iterator[bytes]:
    through = stretch.through
    for batch in reader.in_natural_order_behind(collection, stretch.behind.record if stretch.behind else None):
        data = joined(batch)
        if through is not None:
            if batch.record is None:
                raise OutOfOrderError
            if batch.record >= through.record:
                yield up_to(data, through.key)
                return
        yield data
    if through is not None:
        raise OutOfOrderError


def told(ask: Callable[[], T]) -> T | None:
    """What asking the server for record ids comes to; None where it gives none."""
    try:
        return ask()
    except _NotToldError:
        return None
    except SourceError as error:
        # The server knows these options not, or not here; not what is a kind of its own: unreachable, login, moved.
        if type(error) is SourceError and isinstance(error.__cause__, OperationFailure):
            return None
        raise


def _border(reader: Reader, collection: Collection, key: bytes) -> tuple[Spot, bytes] | None:
    """A record near `key`, and the least key of those behind it, where all before it have lesser ones; None where
    there is no such place."""
    if key[:1] != bytes((_OBJECT_ID,)):
        return None
    around = [spot_of(document) for document in reader.next_below(collection, key)]
    if around:
        behind = reader.next_behind(collection, around[0].record, _NEIGHBOURS)
        around += [spot_of(document) for document in behind]
    # Of each place: the least key behind it, the greatest one up to it.
    least = list(accumulate(reversed([spot.key for spot in around]), min))[::-1]
    greatest = accumulate((spot.key for spot in around), max)
    found = list(zip(around, greatest, least[1:], strict=False))
    for spot, before, after in found[len(found) // 2 :]:
        if before < after and after[0] == _OBJECT_ID:
            return spot, after
    return None


def spot_of(document: bytes) -> Spot:
    """Of a document that was asked for with its record id. Within `told` only."""
    found = find_element(document, 0, b"$recordId")
    if found is None or found[0] != _INT64:
        raise _NotToldError
    return Spot(int64(document, found[1]), key_of(document))


def _ascend(borders: Sequence[tuple[Spot, bytes]]) -> bool:
    return all(one.record < other.record and key < next_key for (one, key), (other, next_key) in pairwise(borders))

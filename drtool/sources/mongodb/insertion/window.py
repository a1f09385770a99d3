"""Records that come nearly in order, put in order on their way.

ObjectIds begin with the second and go on with what is the process's own, so what several processes insert lies in
the order of ``_id`` but for neighbours. A window of some megabytes is held back and sorted; whatever comes later than
that has no place any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

#: How much is held back at least, while there is more to come.
WINDOW_BYTES = 4_000_000
_PIECE_BYTES = 1_000_000
#: Sorting takes longer than the index would have where it is needed everywhere: so much of what was read, and a start.
_SORTED_SHARE, _SORTED_START = 4, 16_000_000

_LENGTH = Struct("<i").unpack_from
#: Where the first element of a document lies that is an ObjectId called ``_id``: type, name and value.
_START, _END = 4, 21
_PREFIX, _BEHIND_ALL = b"\x07_id\0", b"\x07_id\1"


class OutOfOrderError(Exception):
    """A record came too late to be put in its place, or has no ObjectId, or lies outside of what was asked for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Documents in order, back to back, and the heads of the first and the last."""

    data: bytes
    first: bytes
    last: bytes


def in_order(buffers: Iterable[bytes], lower: bytes | None, upper: bytes | None) -> Iterator[bytes]:
    """The documents of `buffers` (each some, back to back) in the order of their ``_id``, as buffers again.

    Raises ``OutOfOrderError`` where that cannot be, and unless the ``_id`` of all is an ObjectId and, as a record key,
    ``lower <= key < upper`` (None is no bound).
    """
    lowest = _PREFIX if lower is None else _head(lower)
    highest = _BEHIND_ALL if upper is None else _head(upper)
    held: deque[_Run] = deque()
    last = b""
    size = taken = put_in_order = 0
    for data in buffers:
        if not data:
            continue
        taken += len(data)
        size += len(data)
        run = _run(data)
        late = run is None or (held and run.first < held[-1].last)
        if not late:
            assert run is not None
            held.append(run)
        else:
            runs = _merged(held, run, data)
            put_in_order += sum(len(each.data) for each in runs)
            if put_in_order > _SORTED_SHARE * taken + _SORTED_START:
                raise OutOfOrderError
            held.extend(runs)
        while len(held) > 1 and size - len(held[0].data) >= WINDOW_BYTES:
            done = held.popleft()
            size -= len(done.data)
            yield _checked(done, last, lowest, highest)
            last = done.last
    for done in held:
        yield _checked(done, last, lowest, highest)
        last = done.last


def up_to(data: bytes, key: bytes) -> bytes:
    """The documents of a buffer up to the one with this record key. ``OutOfOrderError`` where it is not there."""
    position, head = 0, _head(key)
    while position < len(data):
        at = position
        position += _LENGTH(data, at)[0]
        if data[at + _START : at + _END] == head:
            return data[:position]
    raise OutOfOrderError


def _head(key: bytes) -> bytes:
    return _PREFIX + key[1:]


def _checked(run: _Run, last: bytes, lowest: bytes, highest: bytes) -> bytes:
    # What lies, as bytes, between two heads that begin with the prefix begins with it, too: it is an ObjectId.
    if run.first <= last or run.first < lowest or run.last >= highest:
        raise OutOfOrderError
    return run.data


def _run(data: bytes) -> _Run | None:
    """The documents as they are; None where they are not in order."""
    position, end, last = 0, len(data), b""
    length_at = _LENGTH
    while position < end:
        head = data[position + _START : position + _END]
        if head <= last:
            return None
        last = head
        position += length_at(data, position)[0]
    return _Run(data, data[_START:_END], last)


def _merged(held: deque[_Run], run: _Run | None, data: bytes) -> list[_Run]:
    """What came, and those runs at the end of `held`, taken out of it, that it mixes with, in order."""
    found = _documents(data)
    lowest = run.first if run is not None else min(found)[0]
    while held and held[-1].last > lowest:
        found += _documents(held.pop().data)
    found.sort()
    runs = []
    start = size = 0
    for number, (_, document) in enumerate(found, start=1):
        size += len(document)
        if size >= _PIECE_BYTES or number == len(found):
            part = found[start:number]
            runs.append(_Run(b"".join([each for _, each in part]), part[0][0], part[-1][0]))
            start, size = number, 0
    return runs


def _documents(data: bytes) -> list[tuple[bytes, bytes]]:
    """Heads and documents."""
    found, position = [], 0
    while position < len(data):
        at = position
        position += _LENGTH(data, at)[0]
        found.append((data[at + _START : at + _END], data[at:position]))
    return found

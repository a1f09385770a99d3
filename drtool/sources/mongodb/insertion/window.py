"""Records that come nearly in order, put in order on their way.

ObjectIds begin with the second and go on with what is the process's own, so what several processes insert lies in
the order of ``_id`` but for neighbours. A window of some megabytes is held back and sorted; whatever comes later than
that has no place any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import lt

from drtool.sources.mongodb.batches import Documents, apart

#: How much is held back at least, while there is more to come.
WINDOW_BYTES = 4_000_000
_PIECE_BYTES = 1_000_000
#: Sorting takes longer than the index would have where it is needed everywhere: so much of what was read, and a start.
_SORTED_SHARE, _SORTED_START = 4, 16_000_000

#: Where the first element of a document lies that is an ObjectId called ``_id``: type, name and value.
_START, _END = 4, 21
_PREFIX, _BEHIND_ALL = b"\x07_id\0", b"\x07_id\1"


class OutOfOrderError(Exception):
    """A record came too late to be put in its place, or has no ObjectId, or that of another, or lies outside of what
    was asked for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Documents in order, and the heads of the first and the last."""

    documents: Documents
    first: bytes
    last: bytes

    @property
    def size(self) -> int:
        """Their length in bytes."""
        return len(self.documents.data)


def in_order(buffers: Iterable[bytes], lower: bytes | None, upper: bytes | None) -> Iterator[Documents]:
    """The documents of `buffers` (each some, back to back) in the order of their ``_id``.

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
        documents = apart(data)
        heads = _heads(documents)
        if _ascend(heads) and not (held and heads[0] < held[-1].last):
            held.append(_Run(documents, heads[0], heads[-1]))
        else:
            runs = _merged(held, documents, min(heads))
            put_in_order += sum(run.size for run in runs)
            if put_in_order > _SORTED_SHARE * taken + _SORTED_START:
                raise OutOfOrderError
            held.extend(runs)
        while len(held) > 1 and size - held[0].size >= WINDOW_BYTES:
            done = held.popleft()
            size -= done.size
            yield _checked(done, last, lowest, highest)
            last = done.last
    for done in held:
        yield _checked(done, last, lowest, highest)
        last = done.last


def up_to(data: bytes, key: bytes) -> bytes:
    """The documents of a buffer up to the one with this record key. ``OutOfOrderError`` where it is not there."""
    documents = apart(data)
    try:
        number = _heads(documents).index(_head(key))
    except ValueError:
        raise OutOfOrderError from None
    return data[: documents.starts[number + 1]]


def _head(key: bytes) -> bytes:
    return _PREFIX + key[1:]


def _heads(documents: Documents) -> list[bytes]:
    data, starts, _ = documents
    return [data[start + _START : start + _END] for start in starts[:-1]]


def _ascend(heads: Sequence[bytes]) -> bool:
    # Nor may there be twice the same: where a damaged collection holds such records the index knows one of them.
    return all(map(lt, heads, islice(heads, 1, None)))


def _checked(run: _Run, last: bytes, lowest: bytes, highest: bytes) -> Documents:
    # What lies, as bytes, between two heads that begin with the prefix begins with it, too: it is an ObjectId.
    if run.first <= last or run.first < lowest or run.last >= highest:
        raise OutOfOrderError
    return run.documents._replace(head=_PREFIX)


def _merged(held: deque[_Run], documents: Documents, lowest: bytes) -> list[_Run]:
    """What came (its lowest head is `lowest`), and those runs at the end of `held`, taken out of it, that it mixes
    with, in order."""
    found = _by_head(documents)
    while held and held[-1].last > lowest:
        found += _by_head(held.pop().documents)
    found.sort()
    if not _ascend([head for head, _ in found]):
        raise OutOfOrderError
    runs = []
    start = size = 0
    for number, (_, document) in enumerate(found, start=1):
        size += len(document)
        if size >= _PIECE_BYTES or number == len(found):
            part = found[start:number]
            merged = apart(b"".join([each for _, each in part]))
            runs.append(_Run(merged, part[0][0], part[-1][0]))
            start, size = number, 0
    return runs


def _by_head(documents: Documents) -> list[tuple[bytes, bytes]]:
    data, starts, _ = documents
    whole = [data[start:end] for start, end in pairwise(starts)]
    return list(zip(_heads(documents), whole, strict=True))

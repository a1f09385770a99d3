"""Collections whose neighbours by ``_id`` lie anywhere, read as they lie and sorted on this host.

With random ids, and more data than the server's cache holds, each record that is fetched by the index costs the server
a page, which is gone again before the next record on it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from statistics import median

from drtool.sources.mongodb.batches import Documents, apart, joined, keys_of
from drtool.sources.mongodb.catalogue import Size
from drtool.sources.mongodb.cursors import Collection, Reader
from drtool.sources.mongodb.insertion.laying import spot_of, told
from drtool.sources.mongodb.insertion.window import OutOfOrderError
from drtool.sources.mongodb.oplog.order import sort_keys
from drtool.sources.reading import KeyRange
from drtool.sources.sorting.files import NotKeptError, room
from drtool.sources.sorting.runs import Runs

#: What is smaller is soon read in any order. What is larger may not be read before its instant has passed away, and
#: then it was in vain.
_LEAST_BYTES, _MOST_BYTES = 256_000_000, 20_000_000_000
#: The least share of it that the server would have to have in its cache.
_CACHED = 0.5
#: So many neighbours are looked at, at each of so many places.
_NEIGHBOURS, _PLACES = 40, 8
#: A page of WiredTiger's holds about so much; records that lie so many pages apart are none that share one.
_PAGE_BYTES, _PAGES_APART = 32_768, 4
#: Runs that are merged before they are read take twice the room.
_SHARE_OF_ROOM = 0.5
_RUN_BYTES = 8_000_000
#: Where so many ranges are asked for there are readers for two scans, which look at everything and send a half each:
#: to the server that is little work beside what sorting is here.
_WORTH_TWO = 8


def read(reader: Reader, collection: Collection, part: KeyRange) -> Iterator[Documents]:
    """The documents of a part, in the order of ``_id``.

    Raises ``OutOfOrderError``, possibly after some, where this host cannot put them in order: for want of room, for an
    ``_id`` of a type whose order is not implemented, or found twice.
    """
    runs = Runs(_RUN_BYTES)
    try:
        records = 0
        for batch in reader.in_natural_order(collection, part):
            documents = apart(joined(batch))
            keys = sort_keys(keys_of(documents.data, documents.starts[:-1]))
            if keys is None:
                raise OutOfOrderError
            runs.add(0, dict(zip(keys, _each(documents), strict=True)), len(documents.data) + sum(map(len, keys)))
            records += len(documents.starts) - 1
        runs.end()
        for _, some in runs.read(0):
            records -= len(some)
            yield Documents(b"".join(some), [0, *accumulate(map(len, some))])
    except NotKeptError as error:
        raise OutOfOrderError from error
    finally:
        runs.close()
    if records:  # of records with the same key one was kept
        raise OutOfOrderError


def may_help(size: Size) -> bool:
    """Is a collection large and not in the server's cache, and is there room for it here?"""
    if not _LEAST_BYTES <= size.bytes <= _MOST_BYTES or size.cached is None or size.cached >= _CACHED * size.bytes:
        return False
    return size.bytes <= _SHARE_OF_ROOM * room()


def lies_anywhere(reader: Reader, collection: Collection, size: Size, ranges: Sequence[KeyRange]) -> bool:
    """Do neighbours by ``_id`` lie on different pages? Looked up where `ranges` begin."""
    keys = [each.lower for each in ranges if each.lower is not None][:_PLACES]
    gaps = told(lambda: [gap for key in keys for gap in _gaps(reader, collection, key)])
    near = _PAGES_APART * max(1.0, _PAGE_BYTES * size.records / max(1, size.bytes))
    return median(gaps) > near if gaps else False


def few(ranges: Sequence[KeyRange]) -> Sequence[KeyRange]:
    """One range or two of those given, to be sorted."""
    borders = [None, ranges[len(ranges) // 2].lower, None] if len(ranges) >= _WORTH_TWO else [None, None]
    return [KeyRange(lower, upper, together=True) for lower, upper in pairwise(borders)]


def _gaps(reader: Reader, collection: Collection, key: bytes) -> Iterator[int]:
    spots = [spot_of(document).record for document in reader.next_from(collection, key, _NEIGHBOURS)]
    return (abs(after - before) for before, after in pairwise(spots))


def _each(documents: Documents) -> Iterator[bytes]:
    data = documents.data
    return (data[start:end] for start, end in pairwise(documents.starts))

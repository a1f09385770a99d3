"""A collection's points page by page, in the order of their ids: integers, then UUIDs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.qdrant.points import Point, PointId, Sparse

#: How large a page is meant to be (bytes of records); a first one is of so many points, none of more than that many.
_PAGE_BYTES = 1 << 20
_FIRST, _MOST = 32, 1000

Page = tuple[Sequence[Point], PointId | None]
"""Some points, and the id at which the next page begins."""


def in_pages(collection: str, fetch: Callable[[PointId | None, int], Page]) -> Iterator[Sequence[Point]]:
    """All pages. `fetch` gives the page that begins with an id, of so many points at most; their size is measured, so
    that large ones come a few at a time."""
    offset: PointId | None = None
    limit, larger = _FIRST, _FIRST
    while True:
        points, following = fetch(offset, limit)
        yield points
        if following is None:
            return
        if not points or following == offset:
            raise SourceError(f"{collection}: a page of points leads nowhere after {offset}")
        size = sum(map(_size, points)) / len(points)
        larger = min(larger * 4, _MOST)
        offset, limit = following, max(1, min(larger, int(_PAGE_BYTES / size)))


def in_order(collection: str, records: Iterator[Record]) -> Iterator[Record]:
    """The same. ``SourceError`` where a record comes twice or out of order."""
    last = b""
    for key, data in records:
        if key <= last:
            raise SourceError(f"{collection}: the engine gives its points out of order, or one of them twice")
        last = key
        yield key, data


def _size(point: Point) -> int:
    """About how many bytes a point takes."""
    return 64 + _weight(point.payload) + sum(map(_weight, point.vectors.values()))


def _weight(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + 8 + _weight(each) for name, each in value.items())
    if isinstance(value, Sparse):
        return 8 * len(value.indices)
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], float):
            return 4 * len(value)
        return sum(8 + _weight(each) for each in value)
    return 8

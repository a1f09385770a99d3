"""What changed between two walks of a tree, in terms of the chunks that a stream had."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from drtool.sources.files.entries import Entry, part_key
from drtool.sources.reading import Base

#: A file that was changed so shortly before the earlier walk may have been changed after it and still bear the same
#: times: not every file system counts finer than two seconds.
RACY_NS = 2_000_000_000


_SECOND_NS = 1_000_000_000


def is_since(ctime: int, instant: int) -> bool:
    """May a file with that ctime have been changed at or after an instant? One of whole seconds comes from a file
    system that counts no finer."""
    return ctime >= (instant - RACY_NS if ctime % _SECOND_NS == 0 else instant)


def differing(old: Iterable[Entry], new: Iterable[Entry], instant: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys, from the first to the last of each, of the entries that are not in both, or not surely the same;
    ascending by the first. `instant` is that of the old walk."""
    racy = instant - RACY_NS
    older, newer = iter(old), iter(new)
    was, is_ = next(older, None), next(newer, None)
    while was is not None or is_ is not None:
        if is_ is None or (was is not None and was.key < is_.key):
            assert was is not None
            yield was.key, _end(was)
            was = next(older, None)
        elif was is None or is_.key < was.key:
            yield is_.key, _end(is_)
            is_ = next(newer, None)
        else:
            if was != is_ or is_.ctime >= racy:
                yield is_.key, max(_end(was), _end(is_))
            was, is_ = next(older, None), next(newer, None)


def _end(entry: Entry) -> bytes:
    """The last key that a record of an entry can have; a file may have been longer when it was read than when it was
    listed."""
    return part_key(entry.key, (1 << 64) - 1) if entry.is_file else entry.key


def touched(base: Base, spans: Iterable[tuple[bytes, bytes]]) -> dict[int, set[int]]:
    """The chunks, by group, that hold or would hold keys of these spans."""
    firsts = base.firsts()
    found: dict[int, set[int]] = {}
    held, bounds = -1, base.bounds(0)
    for first, last in spans:
        begin, end = (max(0, bisect_right(firsts, key) - 1) for key in (first, last))
        for group in range(begin, end + 1):
            if group != held:
                held, bounds = group, base.bounds(group)
            low = max(0, bisect_right(bounds, first) - 1) if group == begin else 0
            high = max(0, bisect_right(bounds, last) - 1) if group == end else len(bounds) - 1
            found.setdefault(group, set()).update(range(low, high + 1))
    return found

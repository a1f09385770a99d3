"""Dumps as a server writes them, made by hand, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from drtool.sources.redis.arriving import Arrival
from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.dump import NEVER, LeftOut
from drtool.sources.redis.rdb.strings import string_bytes
from drtool.sources.redis.reading import Reading
from drtool.sources.redis.records import Entry
from drtool.sources.redis.records import entries as read

HEAD = b"REDIS0009\xfa\x05ctime\x0210"
END = b"\xff" + bytes(8)
#: Between a key and its expiry a server that evicts says how often it was used, or when.
_USED = (b"", b"\xf9\x07", b"\xf8\x03")


def nothing_left_out(_database: int) -> LeftOut:
    """Everything is wanted."""
    return lambda _key: False


def dump(databases: Sequence[tuple[int, Sequence[Entry]]]) -> bytes:
    """A whole one."""
    pieces = [HEAD]
    for database, entries in databases:
        pieces += [b"\xfe", bytes((database,)), b"\xfb\x05\x01"]
        for number, entry in enumerate(entries):
            if entry.expiry != NEVER:
                pieces += [b"\xfc", entry.expiry.to_bytes(8, "little")]
            pieces += [_USED[number % 3], entry.value[:1], string_bytes(entry.key), entry.value[1:]]
    return b"".join(pieces) + END


def _zset(scores: Sequence[bytes]) -> bytes:
    packed = b"".join(string_bytes(member) + bytes(8) for member in scores)
    return bytes((types.ZSET_2, len(scores))) + packed


def _list(nodes: Sequence[bytes]) -> bytes:
    packed = b"".join(b"\x02" + string_bytes(node) for node in nodes)
    return bytes((types.LIST_QUICKLIST_2, len(nodes))) + packed


_texts = st.binary(max_size=12) | st.binary(min_size=60, max_size=70)
values = (
    _texts.map(lambda text: bytes((types.STRING,)) + string_bytes(text))
    | st.sampled_from([b"\x00\xc0\x05", b"\x00\xc1\x05\x06", b"\x00\xc3\x02\x05\xe0a"])
    | st.lists(_texts, max_size=3).map(_zset)
    | st.lists(_texts, max_size=3).map(_list)
)
keys = st.binary(max_size=3) | st.binary(min_size=62, max_size=66)
expiries = st.just(NEVER) | st.integers(10_001, 1 << 62)
entries = st.dictionaries(keys, st.tuples(expiries, values), max_size=6).map(
    lambda found: [Entry(key, *rest) for key, rest in found.items()]
)
databases = st.dictionaries(st.integers(0, 60), entries, max_size=3).map(lambda found: list(found.items()))


def arrived(blocks: Sequence[bytes], left_out: Callable[[int], LeftOut] = nothing_left_out) -> dict[int, list[Entry]]:
    """What is in a dump that comes in these blocks: the databases that hold something."""
    arrival = Arrival(left_out)
    try:
        for block in blocks:
            arrival.take(block)
        arrival.end()
        reading = Reading(arrival.order)
        records = {number: reading.changed(number, lambda entry: entry) for number in arrival.order.tallies}
        return {number: list(read(bytes(data) for _, data in some)) for number, some in records.items()}
    finally:
        arrival.close()

"""Keys whose time never comes: in a sandbox everything expires a thousand years later than it does at the source.

So the server keeps every expiry, of keys and of fields, and it is compared, yet none of them passes meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.strings import length_bytes, string_bytes
from drtool.sources.redis.rdb.values import Field, fields
from drtool.sources.redis.records import Entry

#: About 1,115 years in ms: fields of hashes may not expire later than 2**46 ms after 1970.
SHIFT = 1 << 45
#: Keys that expire so late are left alone: the server's clock would overflow.
_LATEST = 1 << 62
_LONG = struct.Struct("<q")
_WITH_TIMES = frozenset({types.HASH_METADATA, types.HASH_LISTPACK_EX})


def later(entry: Entry) -> Entry:
    """As it is written to a sandbox."""
    return _moved(entry, SHIFT)


def as_at_source(entry: Entry) -> Entry:
    """As it was before it was written to a sandbox."""
    return _moved(entry, -SHIFT)


def _moved(entry: Entry, by: int) -> Entry:
    expiry, value = entry.expiry, entry.value
    if expiry != NEVER and expiry < _LATEST:
        expiry += by
    if value[0] in _WITH_TIMES:
        found = [Field(each.name, each.value, each.expiry + by if each.expiry else 0) for each in fields(value)]
        value = with_times(found)
    return Entry(entry.key, expiry, value)


def with_times(found: Sequence[Field]) -> bytes:
    """A hash as the value of the type ``HASH_METADATA``."""
    first = min((each.expiry for each in found if each.expiry), default=0)
    parts = [bytes((types.HASH_METADATA,)), _LONG.pack(first), length_bytes(len(found))]
    for each in found:
        parts += [length_bytes(each.expiry - first + 1 if each.expiry else 0), string_bytes(each.name)]
        parts.append(string_bytes(each.value))
    return b"".join(parts)

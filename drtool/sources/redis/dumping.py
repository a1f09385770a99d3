"""Records as they stand in a dump file: when they expire, the type, the key with its length, and the value."""

from __future__ import annotations

from functools import lru_cache

from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.strings import length_bytes
from drtool.sources.redis.records import HEAD

_EXPIRES_MS = b"\xfc"
_key_length = lru_cache(maxsize=1024)(length_bytes)


def in_dump(chunk: bytes) -> tuple[int, list[bytes]]:
    """How many records a chunk has, and in pieces what a dump holds of them; later parts are what they are."""
    at, records, total = 0, 0, len(chunk)
    pieces: list[bytes] = []
    # All is spelt out here, as in `payloads.restore_commands`.
    unpack, head, add = HEAD.unpack_from, HEAD.size, pieces.extend
    while at < total:
        length, key_length, expiry, number, _ = unpack(chunk, at)
        start = at + head
        middle = start + key_length
        at += 4 + length
        records += 1
        if number:
            pieces.append(chunk[middle:at])
            continue
        if expiry != NEVER:
            pieces.append(_EXPIRES_MS + expiry.to_bytes(8, "little", signed=True))
        add((chunk[middle : middle + 1], _key_length(key_length), chunk[start:middle], chunk[middle + 1 : at]))
    return records, pieces

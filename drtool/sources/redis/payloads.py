"""What the command RESTORE takes: a value, the version of the dump format that has its type, and a checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from drtool.sources.redis.rdb.checksum import CHECKSUM_BYTES, checksum
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.types import version_of
from drtool.sources.redis.records import HEAD, Entry, Part

#: Bytes after the value: two of version, eight of checksum.
FOOTER = 2 + CHECKSUM_BYTES
_VERSIONS = [version_of(number).to_bytes(2, "little") for number in range(256)]
RESTORE_TAIL = b"\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"

#: Commands are joined when they take so many bytes of a chunk: what is made for them is still at hand then, and the
#: memory of one batch serves the next.
_BATCH_BYTES = 256 * 1024
#: How many pieces a command has, and which of them are the key and the payload.
_PIECES, _KEY, _PAYLOAD = 6, 1, 3
_first = itemgetter(0)


class Commands(NamedTuple):
    """Some commands as the protocol has them: one for each of `keys`, whose values have these `types`; they took so
    many `records` of a chunk."""

    records: int
    data: bytes
    keys: Sequence[bytes]
    types: bytes

    @classmethod
    def of(cls, records: int, pieces: Sequence[bytes]) -> Commands:
        """Of commands in pieces."""
        types = bytes(map(_first, pieces[_PAYLOAD::_PIECES]))
        return cls(records, b"".join(pieces), pieces[_KEY::_PIECES], types)


def version_bytes(number: int) -> bytes:
    """The version that a payload of this type is stamped with: the oldest that has it, so that older servers take what
    they can."""
    return _VERSIONS[number]


def restore_commands(
    chunk: bytes, complete: Callable[[Part], Entry | None], change: Callable[[Entry], Entry] | None = None
) -> Iterator[Commands]:
    """A command for each whole key of a chunk, many at a time.

    `complete` takes parts, and gives the key that one completes; with `change`, what it makes of each key is written.
    """
    at, records, total, limit = 0, 0, len(chunk), _BATCH_BYTES
    pieces: list[bytes] = []
    # All is spelt out here, and pieces are joined once: calls and objects for each key cost more than what they do.
    unpack, head, versions, add = HEAD.unpack_from, HEAD.size, _VERSIONS, pieces.extend
    while at < total:
        length, key_length, expiry, number, value_length = unpack(chunk, at)
        start = at + head
        middle = start + key_length
        at += 4 + length
        records += 1
        key, value = chunk[start:middle], chunk[middle:at]
        if len(value) != value_length:
            entry = complete(Part(key, expiry, number, value_length, value))
            if entry is None:
                continue
            key, expiry, value = entry
        if change is not None:
            key, expiry, value = change(Entry(key, expiry, value))
        signed = value + versions[value[0]]
        before = _before_payload(len(value)) if expiry == NEVER else _before_expiring(expiry, len(value))
        crc = checksum(signed).to_bytes(CHECKSUM_BYTES, "little")
        add((_before_key(len(key)), key, before, signed, crc, RESTORE_TAIL))
        if at >= limit:
            yield Commands.of(records, pieces)
            pieces.clear()
            records, limit = 0, at + _BATCH_BYTES
    yield Commands.of(records, pieces)


def restore_head(key: bytes, expiry: int, length: int) -> bytes:
    """The command up to its payload, of a value of `length` bytes; ``RESTORE_TAIL`` follows that."""
    before = _before_payload(length) if expiry == NEVER else _before_expiring(expiry, length)
    return _before_key(len(key)) + key + before


@lru_cache(maxsize=1024)
def _before_key(length: int) -> bytes:
    return b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n" % length


@lru_cache(maxsize=4096)
def _before_payload(length: int) -> bytes:
    """Between the key and a value of `length` bytes that never expires."""
    return b"\r\n$1\r\n0\r\n$%d\r\n" % (length + FOOTER)


def _before_expiring(expiry: int, length: int) -> bytes:
    when = b"%d" % max(1, expiry)
    return b"\r\n$%d\r\n%b\r\n$%d\r\n" % (len(when), when, length + FOOTER)


def command(*words: bytes) -> bytes:
    """Any command, as the protocol has it."""
    return b"*%d\r\n" % len(words) + b"".join(_bulk(words))


def _bulk(words: Iterable[bytes]) -> Iterable[bytes]:
    return (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

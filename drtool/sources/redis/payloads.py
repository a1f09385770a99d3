"""What the command RESTORE takes: a value, the version of the dump format that has its type, and a checksum."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

from drtool.sources.redis.rdb.checksum import footers
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.types import version_of
from drtool.sources.redis.records import Entry

#: Bytes after the value: two of version, eight of checksum.
FOOTER = 10
_CHECKSUM = 8
_VERSIONS = [version_of(number).to_bytes(2, "little") for number in range(256)]
RESTORE_TAIL = b"\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"


def version_bytes(number: int) -> bytes:
    """The version that a payload of this type is stamped with: the oldest that has it, so that older servers take what
    they can."""
    return _VERSIONS[number]


def restore_commands(entries: Iterable[Entry]) -> bytes:
    """A command for each key, as the protocol has it."""
    heads, signed = [], []
    for key, expiry, value in entries:
        payload = value + _VERSIONS[value[0]]
        heads.append(restore_head(key, expiry, len(payload) + _CHECKSUM))
        signed.append(payload)
    pieces = zip(heads, signed, footers(signed), repeat(RESTORE_TAIL), strict=False)
    return b"".join(chain.from_iterable(pieces))


def restore_head(key: bytes, expiry: int, length: int) -> bytes:
    """The command up to its payload of `length` bytes; ``RESTORE_TAIL`` follows that."""
    when = b"0" if expiry == NEVER else b"%d" % max(1, expiry)
    return b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key, len(when), when, length)


def command(*words: bytes) -> bytes:
    """Any command, as the protocol has it."""
    return b"*%d\r\n" % len(words) + b"".join(_bulk(words))


def _bulk(words: Iterable[bytes]) -> Iterable[bytes]:
    return (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

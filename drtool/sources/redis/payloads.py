"""What the command RESTORE takes: a value, the version of the dump format that has its type, and a checksum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drtool.sources.redis.rdb.checksum import checksums
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.types import version_of
from drtool.sources.redis.records import Entry

#: Bytes after the value: two of version, eight of checksum.
FOOTER = 10
RESTORE_TAIL = b"\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"


def version_bytes(number: int) -> bytes:
    """The version that a payload of this type is stamped with: the oldest that has it, so that older servers take what
    they can."""
    return version_of(number).to_bytes(2, "little")


def restore_commands(entries: Sequence[Entry]) -> list[bytes]:
    """A command for each key, as the protocol has it."""
    signed = [entry.value + version_bytes(entry.value[0]) for entry in entries]
    footers = [crc.to_bytes(8, "little") for crc in checksums(signed)]
    return [
        b"".join((restore_head(entry.key, entry.expiry, len(payload) + len(footer)), payload, footer, RESTORE_TAIL))
        for entry, payload, footer in zip(entries, signed, footers, strict=True)
    ]


def restore_head(key: bytes, expiry: int, length: int) -> bytes:
    """The command up to its payload of `length` bytes; ``RESTORE_TAIL`` follows that."""
    when = b"%d" % (0 if expiry == NEVER else max(1, expiry))
    return b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key, len(when), when, length)


def command(*words: bytes) -> bytes:
    """Any command, as the protocol has it."""
    return b"*%d\r\n" % len(words) + b"".join(_bulk(words))


def _bulk(words: Iterable[bytes]) -> Iterable[bytes]:
    return (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

"""Checks of single objects: what was put comes back, whole or in part, and what is gone is gone."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from functools import partial

from drtool.errors import ObjectMissingError, StorageError
from drtool.storage.conformance.model import Check, Room, at_once, expect, expect_error

LARGE = 33 * 1024 * 1024 + 7
_DAMAGED = "backups that cannot be read back"


def _round_trip(room: Room) -> str:
    contents = {"empty": b"", "one": b"\0", "bytes": bytes(range(256)) * 3, "text": b"\r\n0;chunk\r\n\r\n"}
    for end, content in contents.items():
        info = room.storage.put(room.name(end), content)
        expect(info.size == len(content), f"put of {len(content)} bytes reports {info.size}")
        expect(room.storage.get(room.name(end)) == content, f"{len(content)} bytes came back different")
        seen = room.storage.head(room.name(end))
        expect(seen.size == len(content), f"head of {len(content)} bytes reports {seen.size}")
        expect(seen.etag == info.etag, "head and put report different etags")
    return ""


def _buffers(room: Room) -> str:
    content = secrets.token_bytes(70_000)
    for end, buffer in (("array", bytearray(content)), ("view", memoryview(bytearray(content)))):
        room.storage.put(room.name(end), buffer, sha256=hashlib.sha256(content).digest())
        expect(room.storage.get(room.name(end)) == content, f"a {type(buffer).__name__} came back different")
    return ""


def _large(room: Room) -> str:
    content = secrets.token_bytes(1 << 20) * 33 + secrets.token_bytes(7)
    room.storage.put(room.name("large"), content, sha256=hashlib.sha256(content).digest())
    expect(room.storage.get(room.name("large")) == content, f"{LARGE} bytes came back different")
    middle = room.storage.get(room.name("large"), offset=len(content) // 2, length=1 << 20)
    expect(middle == content[len(content) // 2 :][: 1 << 20], "a range of a large object came back different")
    return ""


def _ranges(room: Room) -> str:
    content = bytes(range(256)) * 4
    size = len(content)
    name = room.name("object")
    room.storage.put(name, content)
    for offset, length in (
        (0, 1),
        (0, size),
        (1, 1),
        (size - 1, 1),
        (255, 2),
        (512, None),
        (0, 0),
        (size, None),
        (size, 0),
    ):
        expected = content[offset:] if length is None else content[offset : offset + length]
        got = room.storage.get(name, offset=offset, length=length)
        expect(got == expected, f"range of {length} from {offset} came back different")
    for offset, length in ((0, size + 1), (size, 1), (size + 1, None), (size + 1, 0), (size - 1, 2), (5 * size, 3)):
        read = partial(room.storage.get, name, offset=offset, length=length)
        expect_error(StorageError, read, f"a range of {length} from {offset} of {size} bytes")
    return ""


def _missing(room: Room) -> str:
    name = room.name("nowhere")
    expect_error(ObjectMissingError, lambda: room.storage.get(name), "reading a missing object")
    expect_error(ObjectMissingError, lambda: room.storage.get(name, offset=1, length=2), "a range of a missing object")
    expect_error(ObjectMissingError, lambda: room.storage.head(name), "looking at a missing object")
    return ""


def _overwrite(room: Room) -> str:
    name = room.name("object")
    first = room.storage.put(name, b"first, and longer")
    second = room.storage.put(name, b"second")
    expect(room.storage.get(name) == b"second", "an overwritten object shows its old content")
    expect(first.etag != second.etag, "an overwritten object keeps its etag")
    expect(room.storage.head(name).etag == second.etag, "head shows the etag of an overwritten object")
    return ""


def _read_after_write(room: Room) -> str:
    def round_trip(number: int) -> bool:
        content = secrets.token_bytes(100)
        room.storage.put(room.name(f"{number:03}"), content)
        return room.storage.get(room.name(f"{number:03}")) == content

    stale = at_once(round_trip, range(64)).count(False)
    expect(stale == 0, f"{stale} of 64 objects could not be read right after they were put")
    return ""


def _whole_or_not(room: Room) -> str:
    name = room.name("object")
    contents = [bytes([number]) * (200_000 + number) for number in range(12)]
    room.storage.put(name, contents[0])

    def act(number: int) -> bool:
        if number % 2:
            return room.storage.get(name) in contents
        room.storage.put(name, contents[number % len(contents)])
        return True

    expect(all(at_once(act, range(64))), "a reader saw half of an object while it was overwritten")
    return ""


def _delete(room: Room) -> str:
    name = room.name("object")
    room.storage.put(name, b"content")
    room.storage.delete(name)
    room.storage.delete(name)
    expect_error(ObjectMissingError, lambda: room.storage.get(name), "reading a deleted object")
    expect(not list(room.storage.list(room.prefix)), "a deleted object is still listed")
    room.storage.put(name, b"again", if_absent=True)
    expect(room.storage.get(name) == b"again", "a name cannot be used again after a delete")
    return ""


def _checksum(room: Room) -> str:
    name = room.name("object")
    wrong = hashlib.sha256(b"something else").digest()
    expect_error(StorageError, lambda: room.storage.put(name, b"content", sha256=wrong), "a put with a wrong SHA-256")
    expect_error(ObjectMissingError, lambda: room.storage.head(name), "an object refused for its SHA-256")
    return ""


def _clock(room: Room) -> str:
    info = room.storage.put(room.name("object"), b"content")
    listed = room.storage.head(room.name("object")).modified
    now = room.storage.now()
    expect(abs(now - listed) < timedelta(minutes=2), f"the store says {now:%H:%M:%S}, its objects {listed:%H:%M:%S}")
    expect(abs(now - info.modified) < timedelta(minutes=2), "put and the store's clock disagree")
    return ""


CHECKS = (
    Check("round trip", _DAMAGED, _round_trip),
    Check("buffers", _DAMAGED, _buffers),
    Check("large object", _DAMAGED, _large),
    Check("ranges", "reading parts of packs, so every restore", _ranges),
    Check("missing objects", "telling a lost object from a broken store", _missing),
    Check("overwrite", "newer keys and registrations taking effect", _overwrite),
    Check("read after write", "reading what another run has just committed", _read_after_write),
    Check("whole or not at all", "reading while another run writes", _whole_or_not),
    Check("delete", "rotation", _delete),
    Check(
        "checksum on arrival",
        "not checked by the store: drtool's own hashes, when the object is read, are the only guard",
        _checksum,
        required=False,
    ),
    Check("clock", "the age limits of registrations and retention", _clock),
)

"""Checks of conditional puts."""

from __future__ import annotations

import secrets
from functools import partial

from drtool.errors import PreconditionFailedError
from drtool.storage.conformance.model import Check, Room, at_once, expect, expect_error

WRITERS = 16
_CREATE_ONLY_LOST = (
    "two runs may commit under one name and the later one wins unnoticed; drtool refuses to prune such a store"
)
_SWAP_LOST = "leases: two hosts may do the same work at once; drtool refuses to prune such a store"


def _create_only(room: Room) -> str:
    name = room.name("object")
    room.storage.put(name, b"first", if_absent=True)
    expect_error(
        PreconditionFailedError,
        lambda: room.storage.put(name, b"second", if_absent=True),
        "a create-only put over an object",
    )
    expect(room.storage.get(name) == b"first", "a create-only put that was refused replaced the object")
    return ""


def _one_creates(room: Room) -> str:
    name = room.name("object")
    contents = [secrets.token_bytes(1000) for _ in range(WRITERS)]
    won = [content for content in at_once(partial(_puts, room, name, None), contents) if content]
    expect(len(won) == 1, f"of {WRITERS} create-only puts at once {len(won)} succeeded")
    expect(room.storage.get(name) == won[0], "the object is not the one whose put succeeded")
    return ""


def _swap(room: Room) -> str:
    name = room.name("object")
    first = room.storage.put(name, b"first")
    second = room.storage.put(name, b"second", if_match=first.etag)
    expect(room.storage.get(name) == b"second", "a compare-and-swap put did not replace the object")
    expect_error(
        PreconditionFailedError,
        lambda: room.storage.put(name, b"third", if_match=first.etag),
        "a compare-and-swap put with an old etag",
    )
    expect(room.storage.get(name) == b"second", "a compare-and-swap put that was refused replaced the object")
    expect_error(
        PreconditionFailedError,
        lambda: room.storage.put(room.name("nowhere"), b"third", if_match=second.etag),
        "a compare-and-swap put of a missing object",
    )
    listed = next(iter(room.storage.list(name)))
    room.storage.put(name, b"fourth", if_match=listed.etag)
    return ""


def _one_swaps(room: Room) -> str:
    name = room.name("object")
    etag = room.storage.put(name, b"first").etag
    for _ in range(3):
        contents = [secrets.token_bytes(1000) for _ in range(WRITERS)]
        tried = at_once(partial(_puts, room, name, etag), contents)
        won = [content for content in tried if content]
        expect(len(won) == 1, f"of {WRITERS} compare-and-swap puts at once {len(won)} succeeded")
        expect(room.storage.get(name) == won[0], "the object is not the one whose put succeeded")
        etag = room.storage.head(name).etag
    return ""


def _puts(room: Room, name: str, etag: str | None, content: bytes) -> bytes | None:
    """`content` if its conditional put succeeded."""
    try:
        room.storage.put(name, content, if_absent=etag is None, if_match=etag)
    except PreconditionFailedError:
        return None
    return content


CHECKS = (
    Check("create-only put", _CREATE_ONLY_LOST, _create_only, required=False),
    Check("one of many creates", _CREATE_ONLY_LOST, _one_creates, required=False),
    Check("compare-and-swap put", _SWAP_LOST, _swap, required=False),
    Check("one of many swaps", _SWAP_LOST, _one_swaps, required=False),
)

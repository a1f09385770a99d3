"""When two records of a tree mean the same, though the account that restored it may not give files to others."""

from __future__ import annotations

import os

import bson

from drtool.sources.files.records import BLOCK_DEVICE, CHARACTER_DEVICE, decode

_SETUID = 0o6000


def without_owners(data: bytes) -> bytes:
    """The record without what only root restores: owner, group, the bits that lend them, the system's attributes."""
    document = decode(data)
    if "uid" not in document:
        return data
    del document["uid"], document["gid"]
    document["mode"] &= ~_SETUID
    if document["type"] in (CHARACTER_DEVICE, BLOCK_DEVICE):
        return bson.encode({"_id": document["_id"]})
    attributes = document.pop("attributes", [])
    kept = [
        each
        for name, value in zip(attributes[::2], attributes[1::2], strict=True)
        if name.startswith(os.fsencode("user."))
        for each in (name, value)
    ]
    return bson.encode(document | ({"attributes": kept} if kept else {}))

"""The records of a tree (docs/format.md, "Files"): BSON documents back to back, sorted by key.

One for each name: ``{_id, type, …}``, `_id` the path relative to the tree; then, for a file longer than `PART_BYTES`,
one for each part: ``{_id, part, data}``; of one with holes (``sparse``) but those that are all zeros.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import bson
from bson.errors import BSONError

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.files.entries import Entry, key_of, part_key

_LENGTH = struct.Struct("<i")

FILE, DIRECTORY, LINK, HARD_LINK, FIFO, CHARACTER_DEVICE, BLOCK_DEVICE = (
    "file", "directory", "symlink", "link", "fifo", "character", "block",
)  # fmt: skip
_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: FIFO,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
}
#: About how many bytes a record has beside the path and the content.
OVERHEAD = 110


def encode_entry(entry: Entry, **more: Any) -> Record:
    """The record of a name. `more`: ``target``, ``attributes``, ``sparse``, ``data``, where it has them."""
    type_ = _TYPES[stat.S_IFMT(entry.mode)]
    document: dict[str, Any] = {
        "_id": entry.path,
        "type": type_,
        "mode": stat.S_IMODE(entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": entry.mtime,
    }
    if type_ == FILE:
        document["size"] = entry.size
    elif type_ in (CHARACTER_DEVICE, BLOCK_DEVICE):
        document["device"] = [os.major(entry.device), os.minor(entry.device)]
    return entry.key, bson.encode(document | more)


def encode_hard_link(entry: Entry) -> Record:
    """The record of a further name of a file: the first one, which comes before it, has everything else."""
    return entry.key, bson.encode({"_id": entry.path, "type": HARD_LINK, "target": entry.first.replace(b"\0", b"/")})


def encode_part(entry: Entry, number: int, data: bytes, *, is_sparse: bool) -> Record:
    """The record of a part of a file's content. `is_sparse`: blocks of zeros in it are holes."""
    document: dict[str, Any] = {"_id": entry.path, "part": number, "data": data}
    return part_key(entry.key, number), bson.encode(document | {"sparse": True} if is_sparse else document)


def decode(data: bytes | memoryview) -> dict[str, Any]:
    """A record's fields. ``SourceError`` where it is none."""
    try:
        document = bson.decode(data)
    except BSONError as error:
        raise SourceError(f"a record is no BSON document: {error}") from error
    if not isinstance(document.get("_id"), bytes) or not ("type" in document or isinstance(document.get("part"), int)):
        raise SourceError("a record is none of a tree of files")
    return document


def key_of_record(document: Mapping[str, Any]) -> bytes:
    """The key of a record taken apart."""
    key = key_of(document["_id"])
    return part_key(key, document["part"]) if "part" in document else key


def split(chunk: bytes) -> Iterator[memoryview]:
    """The records of a chunk. ``SourceError`` where it does not consist of whole ones."""
    view = memoryview(chunk)
    at = 0
    while at < len(chunk):
        end = at + _LENGTH.unpack_from(chunk, at)[0] if at + 4 <= len(chunk) else 0
        if not at + 5 <= end <= len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        yield view[at:end]
        at = end


def records(chunk: bytes) -> Iterator[Record]:
    """See ``Source.records``."""
    for data in split(chunk):
        yield key_of_record(decode(data)), data

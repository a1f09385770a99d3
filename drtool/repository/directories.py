"""A pack's directory alone: who made the pack, and which chunks lie in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from drtool.errors import DamagedObjectError
from drtool.repository.packs import MAGIC, decode_rows, pack_name
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind, open_object
from drtool.repository.wire import Cursor

_FOOTER_BYTES = 4 + len(MAGIC)
#: What is read first of a pack's end (bytes): enough for some hundreds of chunks.
_FIRST_LOOK = 32 * 1024


@dataclass(frozen=True, slots=True)
class Directory:
    """Who signed a pack's directory, and the ids of the chunks in it."""

    signer: bytes
    chunks: frozenset[bytes]


def read_directory_of(repository: Repository, pack: bytes, size: int) -> Directory:
    """Read the end of a pack of `size` bytes. What lies before it is not looked at: that it is what the directory says
    is for verification to find. Errors of `open_object` and of the store."""
    name, storage = pack_name(pack), repository.storage
    if size < _FOOTER_BYTES:
        raise DamagedObjectError(f"{name} is truncated").about(name)
    first = min(size, _FIRST_LOOK)
    end = storage.get(name, offset=size - first, length=first)
    length = int.from_bytes(end[-_FOOTER_BYTES : -len(MAGIC)])
    start = size - _FOOTER_BYTES - length
    if end[-len(MAGIC) :] != MAGIC or start < 0:
        raise DamagedObjectError(f"{name} is truncated").about(name)
    if length + _FOOTER_BYTES <= first:
        sealed = end[-_FOOTER_BYTES - length : -_FOOTER_BYTES]
    else:
        sealed = storage.get(name, offset=start, length=length)
    opened = open_object(
        Kind.DIRECTORY, "", sealed, repository.keyring, repository.document, what=f"{name} (directory)"
    )
    cursor = Cursor(opened.payload, name)
    cursor.take(hashlib.sha256().digest_size)
    rows = decode_rows(cursor)
    cursor.finish()
    return Directory(opened.signer, frozenset(row.id for row in rows))

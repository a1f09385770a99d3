"""Index objects: which chunk lies in which pack (docs/format.md, "Index")."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from drtool.errors import DamagedObjectError
from drtool.repository.keyring import Keyring
from drtool.repository.packs import PackEntry, decode_rows, encode_rows
from drtool.repository.primitives import KEY_BYTES, SigningKey
from drtool.repository.sealed import Kind, Opened, open_object, seal_object
from drtool.repository.trust import RepositoryDocument, Role
from drtool.repository.wire import Cursor

#: The signer of entries that no writer may rely on.
NOBODY = bytes(KEY_BYTES)


def index_name(data: bytes) -> str:
    """Where an index object lies: under its own hash."""
    return f"index/{hashlib.sha256(data).hexdigest()}"


def encode_index(entries: Sequence[PackEntry], keyring: Keyring, signer: SigningKey, repository: bytes) -> bytes:
    """The object to store in the repository of that id."""
    return seal_index(b"".join(encode_entry(entry) for entry in entries), keyring, signer, repository)


def seal_index(payload: bytes, keyring: Keyring, signer: SigningKey, repository: bytes) -> bytes:
    """The object to store, from entries that are encoded already."""
    return seal_object(Kind.INDEX, "", payload, keyring, signer, repository)


def decode_index(data: bytes, name: str, keyring: Keyring, document: RepositoryDocument) -> list[PackEntry]:
    """The packs that an index object describes; ``indexed_by`` is `NOBODY` where nobody vouches for an entry."""
    opened = open_index(data, name, keyring, document)
    cursor = Cursor(opened.payload, name)
    entries: list[PackEntry] = []
    while not cursor.at_end:
        entry = decode_entry(cursor)
        entries.append(replace(entry, indexed_by=vouched_by(entry.indexed_by, opened.signer, document)))
    return entries


def open_index(data: bytes, name: str, keyring: Keyring, document: RepositoryDocument) -> Opened:
    """The entries of an index object, as written, and who signed it; checked, its name too."""
    if index_name(data) != name:
        raise DamagedObjectError(f"{name} is truncated or altered, or was put under a name that is not its own")
    return open_object(Kind.INDEX, "", data, keyring, document, what=name)


def vouched_by(indexed_by: bytes, signer: bytes, document: RepositoryDocument) -> bytes:
    """Who indexed an entry, in an object of `signer`'s.

    A writer vouches for its own packs only: what it says of others' packs is good for readers, and nobody's. A
    maintainer's merge keeps who indexed what.
    """
    return indexed_by if indexed_by == signer or document.allows(signer, Role.MAINTAINER) else NOBODY


def encode_entry(entry: PackEntry) -> bytes:
    """What an index object says of one pack."""
    head = entry.sha256 + entry.size.to_bytes(8) + entry.header.to_bytes(4) + entry.indexed_by
    return head + encode_rows(entry.rows)


def decode_entry(cursor: Cursor) -> PackEntry:
    """The next entry of an index object, as written."""
    sha256, size, header = cursor.take(32), cursor.u64(), cursor.u32()
    return PackEntry(sha256, size, header, cursor.take(KEY_BYTES), decode_rows(cursor))

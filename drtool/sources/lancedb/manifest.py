"""The manifest of a version: which files a table consists of.

The engine's Python package lists no files, so the manifest itself is read. Its layout is Lance's table format
(https://lance.org/format/table/ and ``protos/table.proto`` of lance-format/lance). What keeps that safe is Lance's own
rule: a reader must refuse a table whose ``reader_feature_flags`` it does not know, so whatever would add files that are
not named here is met by name. And level ``restored`` reads every row of what was copied.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from drtool.errors import SourceError
from drtool.sources.lancedb.protobuf import (
    Message,
    bytes_of,
    messages_of,
    number_of,
    parse,
    text_of,
)

VERSIONS = "_versions"
_SUFFIX = ".manifest"
#: Where the manifest's message begins; the format's version; the magic.
_FOOTER = struct.Struct("<QHH4s")
_LENGTH = struct.Struct("<I")
_MAGIC = b"LANC"
#: Manifests are named by this minus the version, in 20 digits, so that the newest comes first.
_LAST = (1 << 64) - 1
_DIGITS = 20

#: What a reader must know of, by bit; the others name files that lie elsewhere, or ones that are not listed here.
_KNOWN_FLAGS = {
    1 << 0,  # deletion files
    1 << 1,  # stable row ids
    1 << 2,  # format 2 of data files
    1 << 3,  # table configuration
    1 << 5,  # no transaction files
    1 << 7,  # indexes that carry columns
    1 << 8,  # data files of several versions
    1 << 11,  # semantic types
}
_FOREIGN = {
    1 << 4: "it uses files outside of its directory (it is a shallow clone, or has several base paths)",
    1 << 6: "it has data overlay files",
    1 << 9: "it has a fragment reuse index with stable row ids",
    1 << 10: "it has a fragment reuse index of the kind that keeps files of its own",
}
#: The index behind which rows lie that are written and not yet in the table.
_PENDING_WRITES = "__lance_mem_wal"


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a manifest names: its path below the table's directory, and its size in bytes where it is told."""

    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version of a table: its `files`, the `directories` whose files all belong to it where they exist, and
    `optional` files, which may be gone. ``storage`` is the data files' format, ``writer`` the library's version."""

    version: int
    files: tuple[Named, ...]
    directories: tuple[str, ...]
    optional: tuple[str, ...]
    storage: str
    writer: str


def latest(table: Path) -> int | None:
    """The newest version of the table in this directory; None where there is none. Raises ``OSError``."""
    versions = [number for number in map(_version_of, (table / VERSIONS).iterdir()) if number is not None]
    return max(versions, default=None)


def manifest_path(table: Path, version: int) -> str:
    """Where a version's manifest lies, below the table's directory: by either way of naming them."""
    new = f"{VERSIONS}/{_LAST - version:0{_DIGITS}}{_SUFFIX}"
    return new if (table / new).exists() else f"{VERSIONS}/{version}{_SUFFIX}"


def read_manifest(data: bytes, name: str) -> Manifest:
    """A manifest file. `name` is the table's, for messages.

    ``SourceError`` where it is damaged, or where the version has files that it does not name.
    """
    try:
        position, _, _, magic = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
        if magic != _MAGIC:
            raise ValueError("it does not end with LANC")
        message = _message_at(data, position)
        _refuse_foreign(message, name)
        indexes = list(_indexes(message, data))
        return Manifest(
            version=number_of(message, 3),
            files=tuple(_files(message, indexes)),
            directories=tuple(_directories(message, indexes, name)),
            optional=tuple(f"_transactions/{path}" for path in [text_of(message, 12)] if path),
            storage=text_of(parse(bytes_of(message, 15)), 2),
            writer=text_of(parse(bytes_of(message, 13)), 2),
        )
    except (ValueError, struct.error) as error:
        raise SourceError(f"table {name}: its manifest cannot be read: {error}") from error


def _version_of(path: Path) -> int | None:
    stem = path.name.removesuffix(_SUFFIX)
    if stem == path.name or not (stem.isascii() and stem.isdigit()):
        return None  # one that is being written, a hint, a version apart from the others
    return _LAST - int(stem) if len(stem) == _DIGITS else int(stem)


def _message_at(data: bytes, position: int) -> Message:
    (length,) = _LENGTH.unpack_from(data, position)
    message = data[position + _LENGTH.size : position + _LENGTH.size + length]
    if len(message) < length:
        raise ValueError("it ends too early")
    return parse(message)


def _refuse_foreign(message: Message, name: str) -> None:
    flags = number_of(message, 9)
    for bit in (1 << shift for shift in range(flags.bit_length())):
        if flags & bit and bit not in _KNOWN_FLAGS:
            raise SourceError(
                f"table {name} cannot be backed up: {_FOREIGN.get(bit, f'it needs a reader that knows flag {bit}')}",
                hint="Leave it out with exclude, or have LanceDB write it anew (copy its rows to another table).",
            )


def _indexes(message: Message, data: bytes) -> Iterator[Message]:
    if 6 in message:
        yield from messages_of(_message_at(data, number_of(message, 6)), 1)


def _files(message: Message, indexes: list[Message]) -> Iterator[Named]:
    for fragment in messages_of(message, 2):
        for file in messages_of(fragment, 2):
            yield Named(f"data/{text_of(file, 1)}", number_of(file, 6) or None)
        for deletion in messages_of(fragment, 3):
            ending = "bin" if number_of(deletion, 1) else "arrow"
            place = f"{number_of(fragment, 1)}-{number_of(deletion, 2)}-{number_of(deletion, 3)}"
            yield Named(f"_deletions/{place}.{ending}")
        for external in (6, 8, 10):  # row ids, and the versions that rows were made and changed in
            for file in messages_of(fragment, external):
                yield Named(text_of(file, 1))
    for index in indexes:
        for file in messages_of(index, 10):
            yield Named(f"{_index_directory(index)}/{text_of(file, 1)}", number_of(file, 2))


def _directories(message: Message, indexes: list[Message], name: str) -> Iterator[str]:
    for index in indexes:
        if text_of(index, 3) == _PENDING_WRITES:
            raise SourceError(
                f"table {name} cannot be backed up: rows that were written to it may not be in the table yet (it has a"
                " write-ahead log)",
                hint="Leave it out with exclude, or unset its LSM write spec.",
            )
        yield _index_directory(index)
    for fragment in messages_of(message, 2):
        for file in messages_of(fragment, 2):  # large values that lie beside a data file
            yield f"data/{text_of(file, 1).removesuffix('.lance')}"


def _index_directory(index: Message) -> str:
    return f"_indices/{UUID(bytes=bytes_of(next(messages_of(index, 1)), 1))}"

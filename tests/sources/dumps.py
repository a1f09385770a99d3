"""Reads mongodump's two layouts, from the facts about them and with none of drtool's code."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import bson
from bson import json_util

#: CRC-64/XZ: reflected, this polynomial, all ones before and after.
_POLYNOMIAL = 0xC96C5795D7870F42
_ONES = (1 << 64) - 1


@dataclass
class Dump:
    """By namespace: metadata and documents. The oplog is ``.oplog``; a time series' records are its buckets'."""

    metadata: dict[str, str] = field(default_factory=dict)
    documents: dict[str, list[bytes]] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)

    def options(self, namespace: str) -> dict[str, Any]:
        """A collection's metadata, as the values that they stand for."""
        found: dict[str, Any] = json_util.loads(self.metadata[namespace], json_options=json_util.CANONICAL_JSON_OPTIONS)
        return found


def read_directory(directory: Path) -> Dump:
    """All of a directory; asserts that nothing in it is unknown."""
    dump = Dump(header=json.loads((directory / "prelude.json").read_text()))
    for path in sorted(directory.rglob("*")):
        if path.is_dir() or path == directory / "prelude.json":
            continue
        if path == directory / "oplog.bson":
            dump.documents[".oplog"] = list(split_documents(path.read_bytes()))
            continue
        assert path.parent.parent == directory, path
        name, _, suffix = path.name.rpartition(".metadata.json" if path.name.endswith(".json") else ".bson")
        assert not suffix
        namespace = f"{path.parent.name}.{_collection(path.parent, name)}"
        if path.name.endswith(".json"):
            dump.metadata[namespace] = path.read_text(encoding="utf-8")
        else:
            dump.documents[namespace] = list(split_documents(path.read_bytes()))
    return dump


def _collection(database: Path, name: str) -> str:
    assert len(name) <= 238
    if "%24" not in name:
        return unquote_plus(name)
    whole: str = json.loads((database / f"{name}.metadata.json").read_text(encoding="utf-8"))["collectionName"]
    digest = hashlib.sha1(whole.encode()).digest()
    assert name.endswith("%24" + base64.urlsafe_b64encode(digest).decode().rstrip("="))
    return whole


def read_archive(data: bytes, *, checks_longer_than: int = 200_000) -> Dump:
    """All of an archive; asserts the order of its parts, and checksums of what is not too long for that."""
    assert data[:4] == bytes.fromhex("6de29981")
    blocks = _blocks(data, 4)
    header, announced = next(blocks)
    dump = Dump(header=bson.decode(header))
    expected = set()
    for each in map(bson.decode, announced):
        namespace = f"{each['db']}.{each['collection']}"
        if each["metadata"]:
            dump.metadata[namespace] = each["metadata"]
        expected.add(f"{each['db']}.{'system.buckets.' if each['type'] == 'timeseries' else ''}{each['collection']}")
    ended = set()
    for raw, documents in blocks:
        segment = bson.decode(raw)
        namespace = f"{segment['db']}.{segment['collection']}"
        assert namespace in expected
        assert namespace not in ended
        found = dump.documents.setdefault(namespace, [])
        if segment["EOF"]:
            assert not documents
            ended.add(namespace)
            body = b"".join(found)
            if len(body) <= checks_longer_than:
                assert segment["CRC"] % (1 << 64) == crc64_xz(body), namespace
        else:
            found += documents
    assert ended == expected
    return dump


def _blocks(data: bytes, position: int) -> Iterator[tuple[bytes, list[bytes]]]:
    found: list[bytes] = []
    while position < len(data):
        length = struct.unpack_from("<i", data, position)[0]
        if length == -1:
            yield found[0], found[1:]
            found = []
            position += 4
        else:
            found.append(data[position : position + length])
            position += length
    assert not found, "a block without its end"


def split_documents(data: bytes) -> Iterator[bytes]:
    """Whole documents, one after the other."""
    position = 0
    while position < len(data):
        length = struct.unpack_from("<i", data, position)[0]
        yield data[position : position + length]
        position += length
    assert position == len(data)


def crc64_xz(data: bytes) -> int:
    """The checksum, the slow way."""
    crc = _ONES
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _ONES


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_entry(byte) for byte in range(256)]

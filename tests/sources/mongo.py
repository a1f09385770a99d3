"""MongoDB for tests: awkward data, raw documents, and plain ways to look at what is there."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from drtool.sources.base import Source
from drtool.sources.mongodb import MongoSource
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.sources.contract import Copy

Document = dict[str, Any]
Client = MongoClient[Document]
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def document(*elements: tuple[int, str, bytes]) -> bytes:
    """A BSON document from (type, name, value bytes): also one that no driver would make."""
    body = b"".join(bytes((kind,)) + name.encode() + b"\0" + value for kind, name, value in elements) + b"\0"
    return struct.pack("<i", 4 + len(body)) + body


def int32(value: int) -> bytes:
    """The value bytes of an int32."""
    return struct.pack("<i", value)


def insert_raw(database: Database[Document], collection: str, documents: Sequence[bytes]) -> None:
    """Insert documents as they are."""
    reply = database.command(
        {
            "insert": collection,
            "documents": [RawBSONDocument(each, RAW) for each in documents],
            "bypassDocumentValidation": True,
        }
    )
    assert reply["n"] == len(documents), reply


def raw_documents(
    database: Database[Document], collection: str, order: Document, only: RawBSONDocument | None = None
) -> list[bytes]:
    """All documents, or those of a filter, by pymongo's own cursor."""
    raw: Collection[RawBSONDocument] = database.get_collection(collection, codec_options=RAW)  # type: ignore[assignment]
    return [bytes(each.raw) for each in raw.find(only).hint(list(order.items()))]


def unique_database(client: Client) -> str:
    """A name that nobody uses."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    assert name not in client.list_database_names()
    return name


def source_of(uri: str, *databases: str, **options: Any) -> MongoSource:
    """A source of these databases."""
    return MongoSource("app", uri=uri, databases=databases, **options)


def together_in_two_views(source: MongoSource, stream_name: str, parts: int) -> list[list[bool]]:
    """Of the first view of a run and of the next: which ranges of a stream hold ``together``."""
    found = []
    with closing(source.prepare(None)) as prepared:
        for _ in range(2):
            with closing(prepared.freeze()) as view:
                [stream] = [each for each in view.streams() if each.name == stream_name]
                found.append([part.together for part in view.split(stream, parts)])
    return found


def plan_renamed(source: Source, copies: dict[str, Copy], *pairs: str, marker: str = "m") -> RestorePlan:
    """Everything under the names that ``old=new`` pairs give (the first that applies)."""
    items = []
    for name, copy in copies.items():
        new = name
        for pair in pairs:
            old, _, to = pair.partition("=")
            renamed = source.rename(name, old, to)
            if renamed is not None:
                new = renamed
                break
        records = sum(chunk.records for chunk in copy.chunks)
        items.append(RestoreItem(copy.stream, new, records, len(copy.data)))
    return RestorePlan(tuple(items), marker)


def encoded(value: Document) -> bytes:
    """As BSON."""
    return bson.encode(value)

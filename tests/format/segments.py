"""The archived log of a source: its segments, and the entries in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from tests.format.chunks import DATA
from tests.format.keys import derive, reading, require
from tests.format.lists import Page, Root, walk
from tests.format.mongodb import split
from tests.format.objects import SEGMENT, Sealed, names, read_sealed
from tests.format.reader import Repository


@dataclass(frozen=True)
class Segment:
    """One segment; `fields` are those that the page lists."""

    sealed: Sealed
    fields: dict[str, Any]


def segments(repository: Repository, source: str) -> list[Segment]:
    """The segments of a source, each checked by itself and in its chain, by timeline and place."""
    key = derive(repository.trust.id_key, "drtool/1/oplog-source")
    own = blake3(source.encode(), key=key).digest()[:16].hex()
    found = [
        read_sealed(repository.directory, repository.trust, SEGMENT, name)
        for name in names(repository.directory, SEGMENT)
        if name.split("/")[1] == own
    ]
    made = [Segment(sealed, _checked(sealed, own)) for sealed in found]
    for before, after in itertools.pairwise(made):
        if before.fields["timeline"] == after.fields["timeline"] and before.sealed.signer == after.sealed.signer:
            require(after.fields["number"] == before.fields["number"] + 1, "a segment is missing")
            require(after.fields["previous"] == before.sealed.hash, "segments are not linked")
    return made


def _checked(sealed: Sealed, source_id: str) -> dict[str, Any]:
    fields = sealed.fields
    with reading(sealed.name):
        start, end = (fields[word]["ts"][0] << 32 | fields[word]["ts"][1] for word in ("from", "to"))
        require(start < end, "ends before it begins")
        require(fields["source_id"] == source_id, "is of another source")
        name = f"oplog/{source_id}/{fields['timeline']}/{start:016x}-{end:016x}"
        require(sealed.name == name, "has another name")
        require((fields["number"] == 1) == (fields["previous"] is None), "has no place in a chain")
    return fields


def entries(repository: Repository, segment: Segment) -> Iterator[bytes]:
    """The entries of a segment, in order."""
    root = segment.fields["root"]
    page = Page(bytes.fromhex(root["id"]), root["chunks"], root["records"], root["bytes"])
    for reference in walk(repository.chunks, Root(page, root["level"])):
        found = list(split(repository.chunks.read(DATA, reference.id, reference.length)))
        require(len(found) == reference.records > 0, "has another number of entries")
        yield from found

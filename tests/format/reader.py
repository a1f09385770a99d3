"""A reader of drtool repositories, written from docs/format.md alone: no part of drtool is needed to get data out.

It takes a directory; of a bucket, make a copy first. With `cryptography`, `blake3`, `xxhash` and `zstandard`::

    repository = Repository(Path("/srv/backups"), Path("identity.key").read_text())
    for stream in repository.streams(repository.snapshots[-1]):
        for document in repository.records(stream):
            ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.format.chains import Chain, Head, chain_problems, check_number, countable, heads
from tests.format.chunks import CATALOG, DATA, PRIVATE, Chunks, read_index
from tests.format.keys import FormatError, derive, open_trust, read_identity, reading, require
from tests.format.lists import CutRule, Page, Reference, Root, planted, walk
from tests.format.mongodb import record_key, split
from tests.format.objects import INDEX, MANIFEST, REMOVAL, Kind, Sealed, names, read_sealed

MANIFEST_LIMIT = 65_536
STREAMS_IN_A_CHUNK = 256


@dataclass(frozen=True)
class Snapshot:
    """A manifest. `fields` are those that the page lists; `hash` is what the next one of its chain names."""

    id: str
    hash: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Stream:
    """An entry of a stream list; `type` is its source's."""

    source: str
    type: str
    name: str
    is_keyed: bool
    threshold: int
    definition: tuple[bytes, int]
    root: Root | None
    fields: Mapping[str, Any]


class Repository:
    """An opened repository; ``FormatError`` if its own description or this identity's keys are not sound.

    `problems` says what else was found: bad objects, whose content counts as missing, and broken chains.
    `seen_sequence` and `remembered` are what the caller knows from before; without them, older states pass.
    """

    def __init__(
        self,
        directory: Path,
        identity: str,
        seen_sequence: int = 0,
        remembered: Mapping[Chain, Head] | None = None,
    ) -> None:
        self.directory = directory
        self.trust = open_trust(directory, read_identity(identity), seen_sequence)
        self.chunks = Chunks(directory, self.trust)
        self.problems: list[str] = []
        for index in self._sound(INDEX):
            self.chunks.add(index.payload)
        manifests, removals = self._sound(MANIFEST), self._sound(REMOVAL)
        self.problems += chain_problems(self.trust, manifests, removals, remembered)
        manifests = countable(self.trust, manifests, removals)
        snapshots = [Snapshot(sealed.fields["snapshot"], sealed.hash, sealed.fields) for sealed in manifests]
        self.snapshots = sorted(snapshots, key=_time_and_number)
        self.heads = heads(manifests)
        self._cut_key = derive(self.trust.id_key, "drtool/1/cut")

    def _sound(self, kind: Kind) -> list[Sealed]:
        found = []
        for name in names(self.directory, kind):
            try:
                sealed = read_sealed(self.directory, self.trust, kind, name)
                _check_content(sealed)
            except FormatError as error:
                self.problems.append(str(error))
            else:
                found.append(sealed)
        return found

    def streams(self, snapshot: Snapshot) -> Iterator[Stream]:
        """The snapshot's streams, sorted by source and name."""
        with reading(f"snapshot {snapshot.id}"):
            fields = snapshot.fields
            require(not fields["requires"], f"asks for more than this reader knows: {fields['requires']}")
            types = {source["name"]: source["type"] for source in fields["sources"]}
            parts = [
                self.chunks.read(CATALOG, bytes.fromhex(part["id"]), part["length"]).split(b"\n")
                for part in fields["stream_chunks"]
            ]
            require(all(len(part) == STREAMS_IN_A_CHUNK for part in parts[:-1]), "has stream lists of other lengths")
            entries = [json.loads(line) for part in parts for line in part]
            order = [(entry["source"], entry["name"]) for entry in entries]
            require(order == sorted(set(order)), "has streams out of order, or twice")
            require(len(entries) == fields["stream_count"], "has another number of streams than it says")
            streams = [_stream(types[entry["source"]], entry) for entry in entries]
        yield from streams

    def definition(self, stream: Stream) -> bytes:
        """What the stream's container is: for MongoDB a BSON document."""
        return self.chunks.read(PRIVATE, *stream.definition)

    def references(self, stream: Stream) -> Iterator[Reference]:
        """The stream's chunks in order, each with its bounds."""
        with reading(f"stream {stream.name}"):
            if stream.root is not None:
                yield from walk(self.chunks, stream.root)

    def records(self, stream: Stream) -> Iterator[bytes]:
        """Every record, in order; ``FormatError`` where something does not fit, at the latest after the last one."""
        require(stream.type == "mongodb", f"stream {stream.name}: records of {stream.type} are unknown here")
        rule = CutRule(self._cut_key, stream.threshold) if stream.is_keyed else None
        references: list[Reference] = []
        at_cut = True
        for reference in self.references(stream):
            with reading(f"stream {stream.name}, chunk {reference.id.hex()}"):
                require(at_cut, "begins where the rule has no cut")
                records = list(split(self.chunks.read(DATA, reference.id, reference.length)))
                require(len(records) == reference.records > 0, "has another number of records")
                keys = [record_key(record) for record in records]
                require((keys[0], keys[-1]) == (reference.first, reference.last), "has other bounds")
                if rule is not None:
                    cuts = [rule.cuts_after(key, len(record)) for key, record in zip(keys, records, strict=True)]
                    require(not any(cuts[:-1]), "goes on where the rule has a cut")
                    at_cut = cuts[-1]
            references.append(reference)
            yield from records
        require(planted(self.chunks, references) == stream.root, f"stream {stream.name}: is in another tree")


def _time_and_number(snapshot: Snapshot) -> tuple[str, int]:
    """Ids tell the second; within one, the place in the chain counts."""
    return snapshot.id.partition("-")[0], snapshot.fields["number"]


def _check_content(sealed: Sealed) -> None:
    with reading(sealed.name):
        if sealed.kind is INDEX:
            list(read_index(sealed.payload))
        else:
            require(sealed.kind is not MANIFEST or len(sealed.payload) <= MANIFEST_LIMIT, "is too large")
            check_number(sealed)


def _stream(type_: str, entry: dict[str, Any]) -> Stream:
    root = entry["root"]
    if root is not None:
        require(entry["has_records"], f"stream {entry['name']} has chunks and no records")
        page = Page(bytes.fromhex(root["id"]), root["chunks"], root["records"], root["bytes"])
        root = Root(page, root["level"])
    return Stream(
        source=entry["source"],
        type=type_,
        name=entry["name"],
        is_keyed=entry["keyed"],
        threshold=int(entry["threshold"]),
        definition=(bytes.fromhex(entry["definition"]["id"]), entry["definition"]["length"]),
        root=root,
        fields=entry,
    )

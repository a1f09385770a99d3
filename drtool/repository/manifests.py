"""Manifests: a committed snapshot is one signed object (docs/format.md, "Manifests")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from drtool.errors import DamagedObjectError, FormatVersionError
from drtool.repository.pages import PageRef
from drtool.repository.wire import NUMBER_LIMIT, decode_json, encode_json

SNAPSHOTS = "snapshots/"
MAX_MANIFEST_BYTES = 64 * 1024
STREAMS_PER_CHUNK = 256
#: What a manifest requires where the streams of a source are of one instant only after a replay.
OVERLAY = "overlay"
#: What this version understands of ``Manifest.requires``.
UNDERSTOOD = frozenset({OVERLAY})


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One stream of a snapshot.

    ``definition`` is the id of a private chunk of ``definition_length`` bytes; ``threshold`` the T of its cut rule,
    which is the fine one where ``fine`` is set. ``beside`` names the stream of the source that this one completes.
    """

    source: str
    name: str
    kind: str
    identity: str
    proof: str
    consistency: str
    keyed: bool
    has_records: bool
    threshold: int
    definition: bytes
    definition_length: int
    root: PageRef | None
    fine: bool = False
    beside: str = ""

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return self.root.chunks if self.root else 0

    @property
    def records(self) -> int:
        """How many records it has."""
        return self.root.records if self.root else 0

    @property
    def bytes(self) -> int:
        """How many bytes its records have."""
        return self.root.bytes if self.root else 0

    def to_json(self) -> dict[str, Any]:
        """One line of the stream list."""
        root = self.root
        return {
            "source": self.source,
            "name": self.name,
            "kind": self.kind,
            "identity": self.identity,
            "proof": self.proof,
            "consistency": self.consistency,
            "keyed": self.keyed,
            "has_records": self.has_records,
            "threshold": str(self.threshold),
            "definition": {"id": self.definition.hex(), "length": self.definition_length},
            "root": root
            and {
                "id": root.id.hex(),
                "level": root.level,
                "chunks": root.chunks,
                "records": root.records,
                "bytes": root.bytes,
            },
            **({"fine": True} if self.fine else {}),
            **({"beside": self.beside} if self.beside else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StreamEntry:
        """What `to_json` wrote; ``KeyError``, ``ValueError`` or ``TypeError`` where it did not."""
        root = value["root"]
        return cls(
            source=value["source"],
            name=value["name"],
            kind=value["kind"],
            identity=value["identity"],
            proof=value["proof"],
            consistency=value["consistency"],
            keyed=bool(value["keyed"]),
            has_records=bool(value["has_records"]),
            threshold=int(value["threshold"]),
            definition=bytes.fromhex(value["definition"]["id"]),
            definition_length=int(value["definition"]["length"]),
            root=root
            and PageRef(
                bytes.fromhex(root["id"]),
                int(root["level"]),
                int(root["chunks"]),
                int(root["records"]),
                int(root["bytes"]),
            ),
            fine=bool(value.get("fine", False)),
            beside=str(value.get("beside", "")),
        )


def encode_streams(entries: Sequence[StreamEntry]) -> list[bytes]:
    """The stream list as catalog chunks of JSON lines, by source and name."""
    ordered = sorted(entries, key=lambda entry: (entry.source, entry.name))
    lines = [encode_json(entry.to_json()) for entry in ordered]
    return [b"\n".join(lines[i : i + STREAMS_PER_CHUNK]) for i in range(0, len(lines), STREAMS_PER_CHUNK)]


def decode_streams(chunks: Iterable[bytes]) -> list[StreamEntry]:
    """What `encode_streams` wrote."""
    entries: list[StreamEntry] = []
    for chunk in chunks:
        for line in chunk.splitlines():
            try:
                entries.append(StreamEntry.from_json(decode_json(line, "a stream list")))
            except (AttributeError, KeyError, OverflowError, ValueError, TypeError) as error:
                raise DamagedObjectError(f"a stream list lacks something: {error}") from error
    return entries


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source of a snapshot: what it was and which instant was read. ``point`` is the source's own account of it.

    ``increments`` counts the runs since the one that read all of it; 0 is that run, and ``full_because`` says why.
    ``emptied`` is the id of the snapshot in which it held something last, where it holds nothing; else it is empty.
    """

    name: str
    type: str
    version: str
    topology: str
    identity: str
    instant: str
    consistency: str
    point: Mapping[str, Any]
    warnings: tuple[str, ...]
    increments: int = 0
    full_because: str = ""
    emptied: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the snapshot holds (``records``, ``bytes``, ``chunks``) and what the run did: ``read_bytes`` were read,
    ``new_bytes`` of them were new and took ``stored_bytes`` in packs."""

    records: int
    bytes: int
    chunks: int
    new_chunks: int
    new_bytes: int
    stored_bytes: int
    seconds: float
    read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CopiedFrom:
    """The snapshot of another lineage that this one is a copy of: its repository, signer and manifest (hashes hex), and
    its place in its chain there."""

    repository: str
    signer: str
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A snapshot. Times are ISO 8601 with a zone; ``created`` has the host's own offset.

    ``number`` counts from 1 in the chain of (repository, signer, job); ``previous`` is the SHA-256 (hex) of
    the object before it, None for the first. ``consistency`` and ``proof`` are the weakest of its streams.
    ``stream_chunks`` are (id, length) of the stream list's catalog chunks. ``requires`` names what a reader must
    understand to restore it rightly, beyond what format 1 began with. ``base`` is the snapshot whose unchanged chunks
    were taken over unread, None where all was read. ``suspects`` are (first, last) numbers of this chain's snapshots
    that may lack changes. ``tags`` are words that its maker gave it. ``copied_from`` is None but for a copy into
    another lineage. ``distance`` is the largest between the instants of its sources by the clock of the host that read
    them, in seconds; None for one source.
    """

    snapshot: str
    repository: str
    job: str
    number: int
    previous: str | None
    previous_snapshot: str | None
    created: str
    run: str
    host: str
    tool: str
    consistency: str
    proof: str
    instant: str
    sources: tuple[SourceEntry, ...]
    stream_count: int
    stream_chunks: tuple[tuple[bytes, int], ...]
    statistics: Statistics
    requires: tuple[str, ...] = ()
    base: str | None = None
    suspects: tuple[tuple[int, int], ...] = ()
    tags: tuple[str, ...] = ()
    copied_from: CopiedFrom | None = None
    distance: float | None = None

    @property
    def name(self) -> str:
        """Where it lies in the store."""
        return SNAPSHOTS + self.snapshot

    def encode(self) -> bytes:
        """The payload to seal."""
        values = asdict(self)
        values["format"] = 1
        values["stream_chunks"] = [{"id": id_.hex(), "length": length} for id_, length in self.stream_chunks]
        for optional in ("tags", "copied_from"):
            if not values[optional]:
                del values[optional]
        if self.distance is None:
            del values["distance"]
        for source in values["sources"]:
            if not source["emptied"]:
                del source["emptied"]
        return encode_json(values)

    @classmethod
    def decode(cls, payload: bytes, name: str) -> Manifest:
        """The manifest in an opened object."""
        values = decode_json(payload, name)
        try:
            if values["format"] != 1:
                raise DamagedObjectError(f"{name} has a format that this version does not know")
            values["sources"] = tuple(
                SourceEntry(**_known(SourceEntry, {**source, "warnings": tuple(source["warnings"])}))
                for source in values["sources"]
            )
            values["stream_chunks"] = tuple(
                (bytes.fromhex(chunk["id"]), int(chunk["length"])) for chunk in values["stream_chunks"]
            )
            values["requires"] = _understood(values["requires"], name)
            values["suspects"] = tuple((int(first), int(last)) for first, last in values["suspects"])
            values["statistics"] = Statistics(**_known(Statistics, values["statistics"]))
            values["base"] = values["base"] or None
            origin = values.get("copied_from")
            values["copied_from"] = CopiedFrom(**_known(CopiedFrom, origin)) if origin is not None else None
            values["tags"] = tuple(map(str, values.get("tags", ())))
            values["distance"] = None if values.get("distance") is None else float(values["distance"])
            manifest = cls(**_known(cls, values))
            _check_types(manifest)
        except (AttributeError, KeyError, OverflowError, ValueError, TypeError) as error:
            raise DamagedObjectError(f"{name} lacks something: {error}") from error
        if manifest.name != name:
            raise DamagedObjectError(f"{name} says of itself that it is {manifest.name}")
        return manifest


def _known(cls: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: later ones may add some without making manifests unreadable."""
    return {field.name: value[field.name] for field in fields(cls) if field.name in value}


def _understood(requires: Sequence[str], name: str) -> tuple[str, ...]:
    unknown = sorted(set(requires) - UNDERSTOOD)
    if unknown:
        raise FormatVersionError(f"{name} needs a reader that understands {', '.join(unknown)}; this version does not")
    return tuple(requires)


def _check_types(manifest: Manifest) -> None:
    texts = (manifest.snapshot, manifest.repository, manifest.job, manifest.created, manifest.instant)
    if not all(isinstance(text, str) for text in texts) or type(manifest.number) is not int:
        raise TypeError("a field has another type")
    if not isinstance(manifest.base, str | None):
        raise TypeError("its base has another type")
    if any(not 1 <= first <= last < manifest.number for first, last in manifest.suspects):
        raise ValueError("it suspects snapshots that are not before it")
    if not all(isinstance(source.name, str) and isinstance(source.point, Mapping) for source in manifest.sources):
        raise TypeError("a source has another form")
    if not all(isinstance(source.emptied, str) for source in manifest.sources):
        raise TypeError("a source was emptied since something else than a snapshot")
    if any(type(source.increments) is not int or source.increments < 0 for source in manifest.sources):
        raise ValueError("it counts its increments wrongly")
    if not isinstance(manifest.previous, str | None) or not 1 <= manifest.number < NUMBER_LIMIT:
        raise ValueError("it has no place in a chain")
    for moment in (manifest.created, manifest.instant, *(source.instant for source in manifest.sources)):
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("a time has no zone")


def object_hash(data: bytes) -> str:
    """What the next manifest of the chain names: SHA-256 of the sealed object, hex."""
    return hashlib.sha256(data).hexdigest()

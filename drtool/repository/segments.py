"""Oplog segments: what one signed object archives of a source's log (docs/format.md, "Segments")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blake3 import blake3

from drtool.errors import DamagedObjectError
from drtool.repository.keyring import Keyring
from drtool.repository.pages import PageRef
from drtool.repository.primitives import derive
from drtool.repository.wire import NUMBER_LIMIT, decode_json, encode_json

OPLOG = "oplog/"
SOURCE_ID_BYTES = 16
TIMELINE_BYTES = 16
At = tuple[int, int]
_NAME = re.compile(rf"{OPLOG}([0-9a-f]{{32}})/([0-9a-f]{{32}})/([0-9a-f]{{16}})-([0-9a-f]{{16}})")
_U32 = 1 << 32


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of a log: ``at`` is (seconds, increment); ``mark`` is the source's own and may be empty."""

    at: At
    term: int
    mark: str = ""

    def to_json(self) -> dict[str, Any]:
        """As manifests have it."""
        return {"ts": list(self.at), "term": self.term, "mark": self.mark}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Position:
        """What `to_json` wrote; ``KeyError``, ``ValueError`` or ``TypeError`` where it did not."""
        if type(value["term"]) is not int:
            raise ValueError("a place in the log is none")
        return cls(_at(value["ts"]), value["term"], str(value.get("mark", "")))


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What a segment's name says: entries with ``start`` < place <= ``end``."""

    source_id: str
    timeline: str
    start: At
    end: At

    @classmethod
    def parse(cls, name: str) -> SegmentName:
        """``DamagedObjectError`` where it is no segment's name."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise DamagedObjectError(f"{name} is not the name of a segment")
        start, end = place_of(int(found[3], 16)), place_of(int(found[4], 16))
        if start >= end:
            raise DamagedObjectError(f"{name} ends before it begins")
        return cls(found[1], found[2], start, end)

    def __str__(self) -> str:
        return f"{OPLOG}{self.source_id}/{self.timeline}/{number_of(self.start):016x}-{number_of(self.end):016x}"


@dataclass(frozen=True, slots=True)
class Segment:
    """The entries of a source's log after ``start`` and up to ``end``.

    ``number`` counts from 1 in the chain of (repository, signer, source id, timeline); ``previous`` is the SHA-256
    (hex) of the object before it, None for the first. ``identity`` is the source's own (a replica set's id), or empty.
    Where the timeline parted from another, ``foreign`` are the first and the last place known to be of that one only:
    a snapshot whose instant lies between the two does not belong to this timeline.
    """

    repository: str
    source: str
    source_id: str
    timeline: str
    identity: str
    number: int
    previous: str | None
    start: Position
    end: Position
    root: PageRef
    threshold: int
    created: str
    host: str
    run: str
    tool: str
    foreign: tuple[At, At] | None = None

    @property
    def name(self) -> str:
        """Where it lies in the store."""
        return str(SegmentName(self.source_id, self.timeline, self.start.at, self.end.at))

    def encode(self) -> bytes:
        """The payload to seal."""
        root = self.root
        parted = {} if self.foreign is None else {"foreign": [list(at) for at in self.foreign]}
        return encode_json(
            {
                "format": 1,
                "segment": self.name,
                "repository": self.repository,
                "source": self.source,
                "source_id": self.source_id,
                "timeline": self.timeline,
                "identity": self.identity,
                "number": self.number,
                "previous": self.previous,
                "from": self.start.to_json(),
                "to": self.end.to_json(),
                "root": {
                    "id": root.id.hex(),
                    "level": root.level,
                    "chunks": root.chunks,
                    "records": root.records,
                    "bytes": root.bytes,
                },
                "threshold": str(self.threshold),
                "created": self.created,
                "host": self.host,
                "run": self.run,
                "tool": self.tool,
                **parted,
            }
        )

    @classmethod
    def decode(cls, payload: bytes, name: str) -> Segment:
        """The segment in an opened object that lies under `name`."""
        fields = decode_json(payload, name)
        try:
            if fields["format"] != 1:
                raise DamagedObjectError(f"{name} has a format that this version does not know")
            segment = cls._from_json(fields)
        except (AttributeError, KeyError, OverflowError, ValueError, TypeError) as error:
            raise DamagedObjectError(f"{name} lacks something: {error}") from error
        if segment.name != name or fields["segment"] != name:
            raise DamagedObjectError(f"{name} says of itself that it is {segment.name}")
        return segment

    @classmethod
    def _from_json(cls, fields: Mapping[str, Any]) -> Segment:
        root, number, previous = fields["root"], fields["number"], fields["previous"]
        if type(number) is not int or not 1 <= number < NUMBER_LIMIT or not isinstance(previous, str | None):
            raise ValueError("it has no place in a chain")
        if datetime.fromisoformat(fields["created"]).tzinfo is None:
            raise ValueError("a time has no zone")
        return cls(
            repository=str(fields["repository"]),
            source=str(fields["source"]),
            source_id=str(fields["source_id"]),
            timeline=str(fields["timeline"]),
            identity=str(fields.get("identity", "")),
            number=number,
            previous=previous,
            start=Position.from_json(fields["from"]),
            end=Position.from_json(fields["to"]),
            root=PageRef(
                bytes.fromhex(root["id"]),
                int(root["level"]),
                int(root["chunks"]),
                int(root["records"]),
                int(root["bytes"]),
            ),
            threshold=int(fields["threshold"]),
            created=fields["created"],
            host=str(fields["host"]),
            run=str(fields["run"]),
            tool=str(fields["tool"]),
            foreign=_foreign(fields.get("foreign")),
        )


def source_id(keyring: Keyring, source: str) -> str:
    """What stands for a source's name in the names of its segments."""
    key = derive(keyring.id_key, "drtool/1/oplog-source")
    return blake3(source.encode(), key=key).digest(length=SOURCE_ID_BYTES).hex()


def revocation_chain(source_id_: str, timeline: str) -> str:
    """What a revocation calls a signer's segments of a timeline."""
    return f"{OPLOG}{source_id_}/{timeline}"


def number_of(at: At) -> int:
    """A place in a log as u64, as it stands in names and record keys."""
    return at[0] << 32 | at[1]


def place_of(number: int) -> At:
    """What `number_of` made a number of."""
    return number >> 32, number % _U32


def _foreign(value: Any) -> tuple[At, At] | None:
    if value is None:
        return None
    first, last = value
    return _at(first), _at(last)


def _at(value: Any) -> At:
    seconds, increment = value
    if not (_is_u32(seconds) and _is_u32(increment)):
        raise ValueError("a place in the log is none")
    return seconds, increment


def _is_u32(value: object) -> bool:
    return type(value) is int and 0 <= value < _U32

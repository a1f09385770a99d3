"""The contract between a source and the rest of drtool.

A source never sees the repository; it yields and takes chunks of whole records. What passes
between them is plain picklable data. One contract suite (``tests/sources/contract.py``) runs
against every source with a real server behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from drtool.sources.cutting import Chunk, CutRule


class Consistency(StrEnum):
    """How what was read relates to one instant; from strongest to weakest."""

    EXACT = "exact"
    OVERLAY = "overlay"
    FUZZY = "fuzzy"


class Proof(StrEnum):
    """How a restored stream is compared; from strongest to weakest (DESIGN.md 5)."""

    IDENTICAL = "identical"
    CANONICAL = "canonical"
    TOLERANT = "tolerant"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a source says of itself before anything is read.

    ``identity`` distinguishes this system from a namesake (a replica set's id, say); empty if
    it has none. ``topology`` is the source's own word (``replica-set``, ``standalone``, ``sharded``).
    ``warnings`` are sentences for the operator, each with its remedy.
    """

    type: str
    version: str
    topology: str
    identity: str
    consistency: Consistency
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One ordered sequence of records, and everything needed to make its like again.

    ``name`` is unique inside its source (``db.collection``); ``identity`` follows it through renames (a
    collection's UUID as hex). ``definition`` is opaque outside the source: options, indexes, schema. A
    stream without records of its own (a view) has ``has_records`` False. ``keyed`` streams are in
    key order and may be read in ranges; the others are in an order that is data.
    ``estimated_*`` are for progress and for ``CutRule.for_average`` only.
    """

    name: str
    kind: str
    proof: Proof
    definition: bytes
    identity: str = ""
    keyed: bool = True
    has_records: bool = True
    estimated_records: int = 0
    estimated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Part of a keyed stream: records with ``lower`` <= key < ``upper`` in the source's order; None is no bound.

    Keys are record keys as in ``Chunk.first``.
    """

    lower: bytes | None = None
    upper: bytes | None = None


WHOLE = KeyRange()


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a view once everything was read through it.

    ``weaker`` maps stream names to their consistency where it is weaker than the view's.
    """

    consistency: Consistency
    weaker: Mapping[str, Consistency] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class View(Protocol):
    """A source at one instant. Methods may be called from several threads."""

    @property
    def instant(self) -> datetime:
        """The instant that everything read through this view belongs to (UTC)."""

    @property
    def point(self) -> Mapping[str, Any]:
        """The instant in the source's own terms, as JSON values, for the manifest (``{"cluster_time": [s, i], …}``)."""

    def streams(self) -> Sequence[StreamInfo]:
        """All streams, by name. Definitions belong to the instant."""

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """At most `parts` ranges that cover the stream, in order; one for an unkeyed or small stream."""

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """The records of a part, cut by `rule`.

        A part with an upper bound goes on past it until the cuts join those of the next part
        (``drtool.sources.cutting``). Raises ``InstantMovedError`` when the instant can no longer be read.
        """

    def settle(self) -> Settled:
        """To be called after the last chunk: was everything really of this instant? May raise ``InstantMovedError``."""

    def close(self) -> None:
        """Give up cursors and sessions. Safe to call twice."""


class Prepared(Protocol):
    """A source that is ready to fix its instant."""

    def freeze(self) -> View:
        """Fix the instant. Quick, so that several sources freeze close together; may be called again."""

    def close(self) -> None:
        """Release what `prepare` holds."""


@dataclass(frozen=True, slots=True)
class RestoreItem:
    """One stream to be restored, and the name it gets in the target.

    ``records`` and ``bytes`` are what the manifest says; ``consistency`` is the snapshot's word on this stream.
    """

    stream: StreamInfo
    name: str
    records: int
    bytes: int
    consistency: Consistency = Consistency.EXACT


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What goes where.

    ``marker`` identifies this restore, so that a target can tell its own remains from others'. ``replace`` allows it to
    drop what bears a name of the plan.
    """

    items: tuple[RestoreItem, ...]
    marker: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a target holds where the plan would write.

    ``occupied`` are sentences such as ``app.users: 1,204 documents``; empty means that nothing is in the way.
    ``notes`` are things to know before one starts (records that will expire at once, say).
    """

    target: str
    occupied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `Target.load` wrote of one stream."""

    records: int
    bytes: int


class Target(Protocol):
    """Where a restore writes. `load` may be called from several threads, for different streams or
    different parts of one keyed stream."""

    def inspect(self, plan: RestorePlan) -> Inspection:
        """Look, write nothing. Raises where the target cannot take the plan at all (version, permissions)."""

    def begin(self, plan: RestorePlan) -> None:
        """Leave the restore marker and create what holds the records (options and all, no indexes, no expiry).

        Whatever `inspect` would call occupied is a ``TargetNotEmptyError``, unless the plan allows to replace it.
        """

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """Write records. Raises ``IncompleteRestoreError``, naming the record, where one could not be written."""

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> None:
        """What comes after all records: views, indexes, expiry; the marker goes last. `progress` takes a sentence."""

    def read_back(self, plan: RestorePlan) -> View:
        """The restored streams, under their *original* names, for comparison with the snapshot."""

    def digests(self, plan: RestorePlan) -> Mapping[str, str]:
        """The target system's own digest of each stream's records by original name, where it has one (``dbHash``)."""

    def close(self) -> None:
        """Release connections."""


class StreamDigest(Protocol):
    """The running counterpart of `Target.digests`: fed every record of a stream in order."""

    def update(self, data: bytes, /) -> None:
        """Take the next whole records."""

    def hexdigest(self) -> str:
        """The digest so far."""


class Sandbox(Protocol):
    """A private throw-away server, on loopback, in which nothing expires."""

    @property
    def uri(self) -> str:
        """Where it listens, as `Source.target` takes it."""


class Source(Protocol):
    """A system that is backed up, as the configuration names it."""

    name: str
    type: str

    def probe(self) -> Probe:
        """Reachable? Which version? What can it give? Raises ``UnreachableError`` or ``AuthenticationError``."""

    def prepare(self, previous: Mapping[str, Any] | None) -> Prepared:
        """Everything that needs no common instant. `previous` is the `View.point` of the job's last snapshot."""

    def name_of_restored(self, stream: str, suffix: str) -> str:
        """Where a stream is restored to by default, beside the original (``app.users`` → ``app_<suffix>.users``)."""

    def matches(self, stream: str, pattern: str) -> bool:
        """Does a stream's name answer to what a user typed (``db``, ``db.collection`` or a glob)?"""

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """A stream's name after the user's ``old=new`` (database, collection, glob); None where it does not apply."""

    def target(self, uri: str | None) -> Target:
        """The system itself (None) or another of its kind as a target."""

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """A sandbox of `version`'s major version or newer below `directory`, or ``MissingToolError``."""

    def sandbox_program(self, version: str) -> str:
        """What `sandbox` would start, or ``MissingToolError``; starts nothing."""

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """In what the definition of a restored stream differs from the snapshot's, as sentences; empty when equal."""

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """A definition as JSON values, for `show`."""

    def digest(self, definition: bytes) -> StreamDigest | None:
        """Computes what `Target.digests` should say of such a stream; None if it says nothing of it."""

    def close(self) -> None:
        """Release connections."""

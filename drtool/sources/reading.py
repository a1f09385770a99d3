"""The contract of reading: streams, and a source at one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

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
class StreamInfo:
    """One ordered sequence of records, and everything needed to make its like again.

    ``name`` is unique inside its source (``db.collection``); ``identity`` follows it through renames (a
    collection's UUID as hex). ``definition`` is opaque outside the source: options, indexes, schema. A
    stream without records of its own (a view) has ``has_records`` False. ``keyed`` streams are in
    key order and may be read in ranges; the others are in an order that is data.
    ``estimated_*`` are for progress and for ``CutRule.for_average`` only. ``fine`` asks for a fine rule. ``beside``
    names the stream whose records this one completes (vectors, beside documents): each of its keys is there, too, in
    the same order, and both are restored and exported together. Its own name begins with that name and ``#``.
    ``resumable``: `View.changes` tells what changed since it was *read*, so that increments may begin with it where it
    is fuzzy, too. ``ancillary``: whoever has nothing else has nothing (accounts, sequences).
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
    fine: bool = False
    beside: str = ""
    resumable: bool = False
    ancillary: bool = False


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Part of a keyed stream: records with ``lower`` <= key < ``upper`` in the source's order; None is no bound.

    Keys are record keys as in ``Chunk.first``. Reading a ``strict`` range ends at ``upper``, cut or not: for what does
    not join with what follows it. ``together``: what is read of this range holds only when every range that
    `View.split` gave with it was read to its end without a ``ReadAgainError``.
    """

    lower: bytes | None = None
    upper: bytes | None = None
    strict: bool = False
    together: bool = False


WHOLE = KeyRange()


class ReadAgainError(Exception):
    """What was read of a stream in ranges that hold ``together`` may lack records. The view has noted it: the chunks
    of the same ranges, asked for again, are right."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a view once everything was read through it.

    ``weaker`` maps stream names to their consistency where it is weaker than the view's. ``empty`` are streams that
    have a record, and hold nothing all the same: a directory without a name in it.
    """

    consistency: Consistency
    weaker: Mapping[str, Consistency] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class Base(Protocol):
    """The chunks that a stream had at an earlier instant, in groups whose bounds are loaded as they are asked for.

    A chunk stands for all keys from its first one to the next chunk's first one; the first also for all before it.
    """

    def firsts(self) -> Sequence[bytes]:
        """The first record key of each group, in the source's order. Never empty."""

    def bounds(self, group: int) -> Sequence[bytes]:
        """The first record key of each chunk of a group, in order."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between an earlier instant and a view's.

    ``touched`` holds by stream name, then by group of its base, the numbers of those chunks that may hold something
    else at the view's instant; all others are as they were. ``full`` says by stream name why a base cannot be relied
    on. ``full_because``, if not empty, says why none can; then the rest means nothing.
    """

    touched: Mapping[str, Mapping[int, Set[int]]] = field(default_factory=dict)
    full: Mapping[str, str] = field(default_factory=dict)
    full_because: str = ""


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

        A part with an upper bound, unless strict, goes on past it until the cuts join those of the next part
        (``drtool.sources.cutting``). Raises ``InstantMovedError`` when the instant can no longer be read, and
        ``ReadAgainError`` where all parts of the stream have to be read again.
        """

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """What changed since the instant `since` (an earlier `point`) in these streams, by name.

        A base is of the stream with the same identity. A source that cannot tell gives `full_because`.
        """

    def overlay(self, since: Mapping[str, Any]) -> StreamInfo:
        """For streams of which parts were read at different instants, from `since` (an earlier `point`) to this one:
        the stream, to be read through this view like any other, whose replay over them gives this view's instant.
        The point of such a view has a ``cluster_time``.

        Raises ``OplogTruncatedError`` where it cannot be had.
        """

    def settle(self) -> Settled:
        """To be called after the last chunk: was everything really of this instant? May raise ``InstantMovedError``."""

    def cancel(self) -> None:
        """Nobody wants more of what is being read: whoever waits on the source's behalf (for bandwidth) stops waiting,
        and readers end with an error at the next opportunity."""

    def close(self) -> None:
        """Give up cursors and sessions. Safe to call twice."""


@runtime_checkable
class SharedView(View, Protocol):
    """A view that other processes can help to read."""

    def elsewhere(self) -> Callable[[], View] | None:
        """Opens, in another process, a view of the same instant, which is pickled on its way there; it knows what
        `split` found so far. Of that view only `chunks` of keyed streams, `cancel` and `close` are asked. None where
        everything is to be read through this one."""

    def read_elsewhere(self, stream: StreamInfo, ended_by: Exception | None) -> None:
        """A part of a stream was read through a view that `elsewhere` opened; what ended that early, if something
        did."""


@runtime_checkable
class SortingView(View, Protocol):
    """A view that puts streams in order while it reads them, where asking for their order is dear."""

    def sorts(self, stream: StreamInfo) -> bool:
        """Is it so with this one? The source may be asked for a sample.

        If so, reading all of it costs less than many ranges of it: `split` gives one or two, ``together``, for each of
        which the source looks at everything, and others that are ``together`` may take their place.
        """


class Prepared(Protocol):
    """A source that is ready to fix its instant."""

    def freeze(self) -> View:
        """Fix the instant. Quick, so that several sources freeze close together; may be called again."""

    def close(self) -> None:
        """Release what `prepare` holds."""

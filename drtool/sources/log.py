"""The contract for a source's log: what the source itself writes down of every change (MongoDB's oplog).

Archived continuously, it takes a snapshot to any moment since. What passes between a log and the rest of drtool is
plain data; a log never sees the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from drtool.sources.cutting import Chunk, CutRule

At = tuple[int, int]
"""A place in a log: seconds since 1970 (UTC) and the number within that second."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """An entry of a log: its place, the ``term`` it was written in, and a ``mark`` that tells it from an entry of
    another history at the same place; -1 and "" where they are not known."""

    at: At
    term: int = -1
    mark: str = ""


def is_same(one: LogPosition, other: LogPosition) -> bool:
    """Are they one entry, as far as both are known?"""
    marks = {one.mark, other.mark} - {""}
    return one.at == other.at and one.term == other.term and len(marks) < 2


@dataclass(frozen=True, slots=True)
class Anchor:
    """How a snapshot is tied to a log: ``at`` is the entry of its instant, ``since`` the place from which (inclusive)
    the log must be replayed. ``identity`` is the source's; empty where it is not known. ``read_until``, where it is
    given, is the place up to which some stream may hold already what happened after the instant."""

    at: LogPosition
    since: At
    identity: str = ""
    read_until: At | None = None

    @property
    def ready(self) -> At:
        """What is replayed must include the entry at this place, so that all streams are of one moment."""
        return max(self.at.at, self.read_until or self.at.at)


@dataclass(frozen=True, slots=True)
class Resumed:
    """Whether what was archived can be gone on with, and from where: after ``start``.

    ``start`` is None where it cannot, because this is another history; ``why`` says how that is known. ``lost``, if not
    empty, says what of the history can no longer be had: ``start`` is later than what was archived then.
    """

    start: LogPosition | None
    why: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Entries of a log: a chunk whose record keys are places as u64 (``seconds << 32 | number``), and its last entry.

    ``changes`` is False where none of them changed anything that a restore would miss.
    """

    chunk: Chunk
    end: LogPosition
    changes: bool


@dataclass(frozen=True, slots=True)
class LogEvent:
    """Something that happened: ``op`` is drtool's word (``insert``, ``update``, ``delete``, ``drop``, …).

    ``at`` is where it became visible: a replay that ends ahead of it has nothing of it. ``count`` is of records, None
    where the log does not say. ``to`` is the new name of what was renamed. Where several entries did it, ``last`` is
    the place of the last one; ``streams`` is how many streams went with what held them, 0 where nothing did.
    """

    at: At
    namespace: str
    op: str
    count: int | None = None
    to: str = ""
    in_transaction: bool = False
    last: At | None = None
    streams: int = 0


class LiveLog(Protocol):
    """The log of a running system, by one connection. Raises the source's errors."""

    @property
    def identity(self) -> str:
        """What tells this system from others (a replica set's id); empty where it cannot be seen."""

    def resume(self, last: LogPosition, identity: str) -> Resumed:
        """Where to go on after `last`, which was archived of a system with this `identity`."""

    def begin(self, anchors: Sequence[Anchor]) -> LogPosition:
        """Where to begin: from the first of the `anchors` that belongs to this history and that the log still reaches,
        else from just before the newest entry. The term is that of the first entry after it, if that is known."""

    def lacks(self, positions: Sequence[LogPosition]) -> list[LogPosition]:
        """Those of the `positions` that are of another history: the log covers their places and holds no such
        entry."""

    def newest(self) -> LogPosition:
        """The last entry that cannot be rolled back any more."""

    def pieces(self, after: LogPosition, through: LogPosition, rule: CutRule) -> Iterator[LogPiece]:
        """All entries after the one and up to the other, cut by `rule`. ``OplogTruncatedError`` where some are gone."""

    def close(self) -> None:
        """Release the connection."""


class Log(Protocol):
    """A source's log: opens it where it is written, and understands what was archived of it."""

    def open(self) -> LiveLog:
        """Connect. ``SourceError`` where the system as it runs keeps no log."""

    def anchor(self, point: Mapping[str, Any]) -> Anchor | None:
        """How a snapshot with this `View.point` is tied to the log; None where it is not (a fuzzy one, say)."""

    def entry(self, chunk: bytes, at: At) -> LogPosition | None:
        """The entry at a place, looked for in a chunk; None where it is not there."""

    def positions(self, chunk: bytes) -> Iterator[LogPosition]:
        """All entries of a chunk, in order."""

    def events(self, chunks: Iterable[bytes], ops: Set[str], matches: Callable[[str], bool]) -> Iterator[LogEvent]:
        """What happened, in order: all of the words `ops` about streams that `matches`; others may be left out.

        `chunks` follow each other without a gap.
        """

    def passes_over(self, stream: str, pattern: str) -> bool:
        """Is the stream one that the system or drtool keeps for itself, and not meant by whoever looks for the streams
        that answer to `pattern` (see ``Source.matches``)?"""

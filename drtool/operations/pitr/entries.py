"""The archived entries of a log, read back: what is needed is there, and is what it must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, OutOfReachError, UsageError
from drtool.operations.pitr.reach import Base, moment
from drtool.operations.reporting import Reporter
from drtool.repository.archive import Archived
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import ChunkRef, decode_bounds, walk
from drtool.repository.reader import ChunkReader
from drtool.repository.segments import At, number_of
from drtool.sources.log import Log

_LAST = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of archived entries, and the places of the first and the last one as numbers."""

    ref: ChunkRef
    first: int
    last: int

    def may_hold(self, at: At) -> bool:
        """Can the entry at this place be in it?"""
        return self.first <= number_of(at) <= self.last


def pieces(reader: ChunkReader, one: Archived) -> Iterator[Piece]:
    """The chunks of a segment. ``DamagedObjectError`` names it where its pages do not add up."""
    segment = one.segment
    try:
        for leaf in walk(segment.root, reader.get_page):
            bounds = decode_bounds(reader.get(ChunkKind.PRIVATE, leaf.bounds, leaf.bounds_length))
            for ref, bound in zip(leaf.chunks, bounds, strict=True):
                yield Piece(ref, int.from_bytes(bound.first), int.from_bytes(bound.last))
    except ValueError as error:
        raise DamagedObjectError(f"{segment.name} has other bounds than chunks") from error


class Way:
    """The entries that take a base to the place `until`; with `must_exist` there is an entry at that very place."""

    def __init__(self, reader: ChunkReader, log: Log, base: Base, until: At, *, must_exist: bool) -> None:
        self.base = base
        self.until = until
        self._reader = reader
        self._log = log
        self._must_exist = must_exist
        self._segments = base.stretch.within(base.anchor.since, until)

    @property
    def size(self) -> int:
        """How many bytes of entries its segments hold; some of them lie outside of it."""
        return sum(one.segment.root.bytes for one in self._segments)

    def checked(self, reporter: Reporter) -> Iterator[bytes]:
        """The entries, from where the replay begins on: at the end all is known to be there and to open, and the
        snapshot to be of the history that was archived.

        ``DamagedObjectError`` names the segment that cannot be read and the last moment before it, ``OutOfReachError``
        says where the snapshot does not belong, ``UsageError`` that there is no entry where one must be.
        """
        task = "Checking the archived log"
        missing = {self.base.anchor.at.at} | ({self.until} if self._must_exist else set())
        reporter.start(task, self.size)
        try:
            for one in self._segments:
                for piece, data in self._opened(one):
                    reporter.advance(task, len(data))
                    missing -= {at for at in missing if piece.may_hold(at) and self._is_there(data, at)}
                    yield data
        finally:
            reporter.finish(task)
        if self.base.anchor.at.at in missing:
            raise foreign(self.base)
        if missing:
            raise UsageError(
                f"there is no entry at {self.until[0]}:{self.until[1]} in the archived log",
                hint="drtool pitr find prints where each operation stands.",
            )

    def chunks(self) -> Iterator[bytes]:
        """The entries, from where the replay begins on; past the end as long as somebody asks.

        A transaction that was prepared before the end may be decided after it.
        """
        yield from self._reader.stream(self._refs(self._segments, self.base.anchor.since, self.until))
        yield from self.beyond()

    def beyond(self) -> Iterator[bytes]:
        """The entries past the end, as long as somebody asks."""
        after = (self.until[0], self.until[1] + 1)
        yield from self._reader.stream(self._refs(self.base.stretch.within(after, (_LAST, _LAST)), after, None))

    def _refs(self, segments: tuple[Archived, ...], since: At, until: At | None) -> Iterator[ChunkRef]:
        for one in segments:
            for piece in pieces(self._reader, one):
                begins_in_time = until is None or piece.first <= number_of(until)
                is_done = until is None and piece.first < number_of(since)  # given with what was before the end
                if begins_in_time and not is_done and piece.last >= number_of(since):
                    yield piece.ref

    def _opened(self, one: Archived) -> Iterator[tuple[Piece, bytes]]:
        try:
            needed = [
                piece
                for piece in pieces(self._reader, one)
                if piece.last >= number_of(self.base.anchor.since) and piece.first <= number_of(self.until)
            ]
            yield from zip(needed, self._reader.stream(piece.ref for piece in needed), strict=True)
        except DamagedObjectError as error:
            before = moment(one.segment.start.at).isoformat()
            raise type(error)(
                f"{one.segment.name}, which this restore needs, cannot be read: {error.message}",
                hint=f"Nothing was written. The last moment that can be reached without it is {before}.",
            ) from error

    def _is_there(self, data: bytes, at: At) -> bool:
        found = self._log.entry(data, at)
        if found is not None and at == self.base.anchor.at.at and found.term != self.base.anchor.at.term:
            raise foreign(self.base)
        return found is not None


def foreign(base: Base) -> OutOfReachError:
    """The error for a snapshot that does not belong to the archived log."""
    return OutOfReachError(
        f"snapshot {base.snapshot.id} is of another history of the source than the archived log",
        hint="Name another snapshot, or another timeline with --timeline: see drtool pitr status.",
    )

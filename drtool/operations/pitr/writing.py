"""Committing segments: what each refers to is there, then one create-only put."""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType

from drtool import __version__
from drtool.errors import DrtoolError, MissingObjectError, ObjectMissingError
from drtool.operations.budget import Budget
from drtool.operations.locking import lock_packs
from drtool.operations.reporting import Reporter
from drtool.repository.archive import Archived, open_segment
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import pack_name
from drtool.repository.pages import Bounds, ChunkRef, PageBuilder, PageRef
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.segments import At, Position, Segment, source_id
from drtool.repository.writer import ChunkWriter
from drtool.sources.cutting import Chunk
from drtool.sources.log import LogPosition


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next segment goes: after ``start`` in a timeline, the next of this signer's chain after ``number``.

    ``begun`` is the place after which the timeline holds all without a gap. ``foreign`` is as in ``Segment``.
    ``created`` is when the source's newest segment was written (ISO 8601, empty where there is none).
    """

    timeline: str
    identity: str
    start: LogPosition
    number: int = 0
    hash: str | None = None
    foreign: tuple[At, At] | None = None
    created: str = ""
    begun: At = (0, 0)


class Writing:
    """A registered run and its chunk writer, begun when the first chunk comes. Use as a context manager."""

    def __init__(self, repository: Repository, source: str, budget: Budget, reporter: Reporter) -> None:
        self._repository = repository
        self._source = source
        self._budget = budget
        self._reporter = reporter
        self._open: tuple[Run, ChunkWriter] | None = None
        self._pages: PageBuilder | None = None
        self._there: set[bytes] = set()

    def __enter__(self) -> Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is None:
            return
        run, writer = self._open
        if kind is not None:
            # What is there already serves the next pass. If storing it fails too, the first error is the one to tell.
            with contextlib.suppress(DrtoolError):
                writer.flush()
        writer.close()
        run.__exit__(kind, error, trace)

    @property
    def stored_bytes(self) -> int:
        """What went into packs so far."""
        return self._open[1].counts.stored_bytes if self._open is not None else 0

    def anew(self) -> None:
        """Begin a segment, whatever was added to one that was not committed."""
        self._pages = None

    def add(self, chunk: Chunk) -> None:
        """The next chunk of the segment."""
        _, writer = self._begun()
        if self._pages is None:
            self._pages = PageBuilder(
                lambda page: writer.add(ChunkKind.CATALOG, page),
                lambda bounds: writer.add(ChunkKind.PRIVATE, bounds),
            )
        ref = ChunkRef(writer.add(ChunkKind.DATA, chunk.data), len(chunk.data), chunk.records)
        self._pages.add(ref, Bounds(chunk.first, chunk.last))

    def commit(self, place: Place, end: LogPosition, threshold: int) -> Place:
        """Commit what was added as the segment up to `end`; where the one after it goes.

        ``MissingObjectError`` where a pack that it needs is not there: nothing is committed then.
        """
        run, writer = self._begun()
        assert self._pages is not None
        root, self._pages = self._pages.finish(), None
        assert root is not None
        writer.flush()
        self._require_packs(writer)
        lock_packs(self._repository, writer.packs)
        archived = self._put(run, self._segment(run, place, end, root, threshold))
        run.outcome = "committed"
        segment = archived.segment
        return replace(place, start=end, number=segment.number, hash=archived.hash, created=segment.created)

    def _begun(self) -> tuple[Run, ChunkWriter]:
        if self._open is None:
            repository = self._repository
            run = Run(repository, "capture", self._source)
            run.__enter__()
            try:
                for problem in repository.refresh_index():
                    self._reporter.warn(problem.message)
                writer = ChunkWriter(repository, uploads=1, pack_bytes=self._budget.pack_bytes)
                run.keep_clear(writer.seen)
            except BaseException:
                run.__exit__(*sys.exc_info())
                raise
            self._open = run, writer
        return self._open

    def _segment(self, run: Run, place: Place, end: LogPosition, root: PageRef, threshold: int) -> Segment:
        repository = self._repository
        return Segment(
            repository=repository.id,
            source=self._source,
            source_id=source_id(repository.keyring, self._source),
            timeline=place.timeline,
            identity=place.identity,
            number=place.number + 1,
            previous=place.hash,
            start=_stored(place.start),
            end=_stored(end),
            root=root,
            threshold=threshold,
            created=_later(place.created),
            host=socket.gethostname(),
            run=run.id,
            tool=f"drtool {__version__}",
            foreign=place.foreign,
        )

    def _put(self, run: Run, segment: Segment) -> Archived:
        repository = self._repository
        data = repository.seal(Kind.SEGMENT, segment.name, segment.encode())
        run.renew()
        repository.storage.put(segment.name, data, if_absent=True)
        archived = open_segment(repository, segment.name, data)
        repository.state.saw_heads([archived.head])
        return archived

    def _require_packs(self, writer: ChunkWriter) -> None:
        for sha256, size in writer.packs.items():
            if sha256 in self._there:
                continue
            name = pack_name(sha256)
            try:
                is_whole = self._repository.storage.head(name).size == size
            except ObjectMissingError:
                is_whole = False
            if not is_whole:
                self._repository.state.note_bad_packs([sha256], ())
                raise MissingObjectError(
                    f"{name}, which this segment needs, is not there (or not whole): the segment was not committed",
                    hint="Capture again: it stores those chunks anew. Find out what deleted the object.",
                )
            self._there.add(sha256)


def _later(before: str) -> str:
    """Now, but after `before`: the newest segment says which timeline is current, also where a clock was set back."""
    now = datetime.now().astimezone()
    if before:
        now = max(now, datetime.fromisoformat(before) + timedelta(milliseconds=1))
    return now.isoformat()


def _stored(position: LogPosition) -> Position:
    return Position(position.at, position.term, position.mark)


def live(position: Position) -> LogPosition:
    """A stored position as a source takes it."""
    return LogPosition(position.at, position.term, position.mark)

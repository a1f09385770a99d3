"""What a snapshot lost: which ranges of which of its streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from drtool.errors import RepositoryError
from drtool.operations.contents import Contents, Need
from drtool.operations.repair.holdings import Holdings
from drtool.repository.chain import Snapshot
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import StreamEntry
from drtool.repository.packs import pack_name
from drtool.repository.pages import Bounds, Inner, Leaf, PageRef, decode_bounds, visit
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a snapshot lacks.

    ``what`` is ``records``, ``definition`` (of the stream), ``bounds`` (of ranges, which only increments need) or
    ``streams`` (the list of them, without which nothing else is found). Of records: ``records`` from number ``first``
    on, counted from 0 in the stream's order, of ``size`` bytes; ``first_key`` and ``last_key`` where they are known.
    ``chunks`` are the ids of what is lost, ``objects`` the packs that should hold it, ``pages`` the leaves whose bounds
    are lost.
    """

    stream: str
    what: str
    chunks: tuple[bytes, ...]
    objects: tuple[str, ...]
    first: int = 0
    records: int = 0
    size: int = 0
    first_key: bytes | None = None
    last_key: bytes | None = None
    pages: tuple[bytes, ...] = ()

    @property
    def end(self) -> int:
        """The number of the record after it."""
        return self.first + self.records


@dataclass(frozen=True, slots=True)
class Damage:
    """What became of one snapshot: its losses, and of how many ``streams`` and ``records`` it is."""

    snapshot: Snapshot
    losses: tuple[Loss, ...]
    streams: int
    records: int

    @property
    def hit(self) -> set[str]:
        """The streams that cannot be restored as they are."""
        return {loss.stream for loss in self.losses if loss.stream and loss.what != "bounds"}

    @property
    def lost_records(self) -> int:
        """How many records are lost."""
        return sum(loss.records for loss in self.losses)


class Survey:
    """Walks snapshots' trees. Pages that snapshots share are looked at once, as long as nothing below them is lost."""

    def __init__(self, repository: Repository, reader: ChunkReader, holdings: Holdings) -> None:
        self._repository, self._reader, self._holdings = repository, reader, holdings
        self._whole: set[bytes] = set()

    def look(self, snapshot: Snapshot) -> Damage:
        """What this snapshot lost, chunk by chunk."""
        manifest = snapshot.manifest
        totals = manifest.stream_count, manifest.statistics.records
        lists = [Need(id_, ChunkKind.CATALOG, length) for id_, length in manifest.stream_chunks]
        gone = [need.id for need in lists if not self._holdings.has(need)]
        if gone:
            return Damage(snapshot, (self._loss("", "streams", gone),), *totals)
        try:
            entries = Contents(self._reader, manifest).streams()
        except RepositoryError:
            for need in lists:
                self._holdings.lose(need)
            return Damage(snapshot, (self._loss("", "streams", [need.id for need in lists]),), *totals)
        losses = [loss for entry in entries for loss in self._of_stream(manifest.job, entry)]
        return Damage(snapshot, tuple(losses), *totals)

    def _of_stream(self, job: str, entry: StreamEntry) -> Iterator[Loss]:
        stream = f"{entry.source}/{entry.name}"
        if not self._holdings.has(Need(entry.definition, ChunkKind.PRIVATE, entry.definition_length)):
            yield self._loss(stream, "definition", [entry.definition])
        if entry.root is not None:
            yield from self._below(job, stream, entry.root, 0)

    def _below(self, job: str, stream: str, ref: PageRef, first: int) -> Iterator[Loss]:
        """What is lost below a page; `first` is the number of its first record."""
        if ref.id in self._whole:
            return
        page = self._page(ref)
        if page is None:
            yield replace(self._loss(stream, "records", [ref.id]), first=first, records=ref.records, size=ref.bytes)
            return
        lost = False
        if isinstance(page, Leaf):
            found = self._of_leaf(job, stream, ref, page, first)
        else:
            found = self._of_children(job, stream, page.pages, first)
        for loss in found:
            lost = True
            yield loss
        if not lost:
            self._whole.add(ref.id)

    def _page(self, ref: PageRef) -> Leaf | Inner | None:
        """A page; None where it cannot be had, or is not the one that its parent announces."""
        need = Need(ref.id, ChunkKind.CATALOG, None)
        if not self._holdings.has(need):
            return None
        try:
            _, page = next(visit(ref, self._reader.get_page))
        except RepositoryError:
            self._holdings.lose(need)
            return None
        return page

    def _of_children(self, job: str, stream: str, pages: Sequence[PageRef], first: int) -> Iterator[Loss]:
        for child in pages:
            yield from self._below(job, stream, child, first)
            first += child.records

    def _of_leaf(self, job: str, stream: str, ref: PageRef, page: Leaf, first: int) -> Iterator[Loss]:
        if not self._holdings.has(Need(page.bounds, ChunkKind.PRIVATE, page.bounds_length)):
            yield replace(self._loss(stream, "bounds", [page.bounds]), first=first, pages=(ref.id,))
        bounds: list[Bounds] | None = None
        for number, chunk in enumerate(page.chunks):
            if not self._holdings.has(Need(chunk.id, ChunkKind.DATA, chunk.length)):
                bounds = self._bounds(job, ref, page) if bounds is None else bounds
                loss = replace(
                    self._loss(stream, "records", [chunk.id]), first=first, records=chunk.records, size=chunk.length
                )
                if number < len(bounds):
                    loss = replace(loss, first_key=bounds[number].first, last_key=bounds[number].last)
                yield loss
            first += chunk.records

    def _bounds(self, job: str, ref: PageRef, page: Leaf) -> list[Bounds]:
        """First and last keys of a leaf's chunks: from what this host kept, or with the identity; else none."""
        kept = self._repository.state.page(job, ref.id)
        keyring = self._repository.keyring
        try:
            if kept is not None and chunk_id(keyring, ChunkKind.PRIVATE, kept.bounds) == page.bounds:
                return decode_bounds(kept.bounds)
            if self._repository.identity is not None:
                return decode_bounds(self._reader.get(ChunkKind.PRIVATE, page.bounds, page.bounds_length))
        except RepositoryError:
            pass  # the keys are lost too: numbers have to do
        return []

    def _loss(self, stream: str, what: str, chunks: Sequence[bytes]) -> Loss:
        packs = dict.fromkeys(pack for id_ in chunks for pack in self._holdings.lost.get(id_, ()))
        return Loss(stream, what, tuple(chunks), tuple(pack_name(pack) for pack in packs))


def joined(losses: Iterable[Loss], again: frozenset[bytes]) -> Iterator[Loss]:
    """Records that follow each other as one loss, as long as all of them or none lie in the chunks `again`, which the
    next backup stores. What is not about records stands by itself."""
    run: list[Loss] = []
    for loss in losses:
        if run and not _follows(run[-1], loss, again):
            yield _as_one(run)
            run = []
        run.append(loss)
    if run:
        yield _as_one(run)


def _follows(one: Loss, other: Loss, again: frozenset[bytes]) -> bool:
    return (one.stream, one.what, one.end, again.issuperset(one.chunks)) == (
        other.stream,
        other.what,
        other.first,
        again.issuperset(other.chunks),
    ) and one.what == "records"


def _as_one(run: Sequence[Loss]) -> Loss:
    return replace(
        run[0],
        chunks=tuple(id_ for loss in run for id_ in loss.chunks),
        objects=tuple(dict.fromkeys(name for loss in run for name in loss.objects)),
        records=sum(loss.records for loss in run),
        size=sum(loss.size for loss in run),
        last_key=run[-1].last_key,
    )

"""What a snapshot consists of: streams, pages, definitions, and the packs that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drtool.errors import DamagedObjectError, DrtoolError, RepositoryError
from drtool.repository.cache import Location
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import Manifest, StreamEntry, decode_streams
from drtool.repository.packs import Row, pack_name
from drtool.repository.pages import ChunkRef, Leaf, PageRef, page_ids, walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.wire import Cursor
from drtool.sources.reading import Proof, StreamInfo

#: A row as in a pack's directory, and whether its length is what a page says too.
_KEPT_BYTES = 52


class Need(NamedTuple):
    """A chunk that something refers to, and what it must be. ``length`` is None for a page, which states its own."""

    id: bytes
    kind: ChunkKind
    length: int | None

    def fits(self, location: Location) -> bool:
        """Does the index say of this place what the reference says?"""
        return location.kind == self.kind and self.length in (None, location.length)


class Contents:
    """A snapshot's content, read as it is asked for. Definitions and records need the identity."""

    def __init__(self, reader: ChunkReader, manifest: Manifest) -> None:
        self.reader = reader
        self.manifest = manifest

    def streams(self) -> list[StreamEntry]:
        """The stream list."""
        return decode_streams(
            self.reader.get(ChunkKind.CATALOG, id_, length) for id_, length in self.manifest.stream_chunks
        )

    def leaves(self, entry: StreamEntry) -> Iterator[Leaf]:
        """The leaf pages of a stream."""
        return walk(entry.root, self.reader.get_page)

    def refs(self, entry: StreamEntry) -> Iterator[ChunkRef]:
        """The chunks of a stream, in order."""
        return (ref for leaf in self.leaves(entry) for ref in leaf.chunks)

    def records(self, entry: StreamEntry) -> Iterator[bytes]:
        """The records of a stream, a chunk at a time, in order."""
        return self.reader.stream(self.refs(entry))

    def info(self, entry: StreamEntry) -> StreamInfo:
        """A stream as its source described it."""
        return StreamInfo(
            name=entry.name,
            kind=entry.kind,
            proof=Proof(entry.proof),
            definition=self.reader.get(ChunkKind.PRIVATE, entry.definition, entry.definition_length),
            identity=entry.identity,
            keyed=entry.keyed,
            has_records=entry.has_records,
            estimated_records=entry.records,
            estimated_bytes=entry.bytes,
            fine=entry.fine,
            beside=entry.beside,
        )

    def needs(self, entry: StreamEntry, *, bounds: bool = True) -> Iterator[Need]:
        """See `needs_of`."""
        return needs_of(self.reader, entry, bounds=bounds)


def needs_of(reader: ChunkReader, entry: StreamEntry, *, bounds: bool = True) -> Iterator[Need]:
    """Everything that a stream needs: its definition, pages, records and, for increments, the bounds of ranges."""
    yield Need(entry.definition, ChunkKind.PRIVATE, entry.definition_length)
    yield from needs_below(reader, entry.root, bounds=bounds)


def needs_below(reader: ChunkReader, root: PageRef | None, *, bounds: bool = True) -> Iterator[Need]:
    """Everything that a tree of pages needs."""
    for id_ in page_ids(root, reader.get_page):
        yield Need(id_, ChunkKind.CATALOG, None)
    for leaf in walk(root, reader.get_page):
        if bounds:
            yield Need(leaf.bounds, ChunkKind.PRIVATE, leaf.bounds_length)
        for ref in leaf.chunks:
            yield Need(ref.id, ChunkKind.DATA, ref.length)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a snapshot lacks or that is wrong with it. ``object`` is a name in the store, or ""."""

    kind: str
    object: str
    stream: str
    message: str

    @classmethod
    def of(cls, error: DrtoolError, *, object_: str = "", stream: str = "") -> Problem:
        """A problem from the error that shows it."""
        return cls(error.kind, object_ or error.object, stream, error.message)


@dataclass(slots=True)
class Listing:
    """Level ``listed``: the packs that streams need with their sizes and those streams ("" is the stream list), the
    chunks looked up, and what is missing. Where they are kept, ``rows`` are by pack what is needed of it."""

    packs: dict[bytes, int] = field(default_factory=dict)
    streams: dict[bytes, list[str]] = field(default_factory=dict)
    chunks: int = 0
    problems: list[Problem] = field(default_factory=list)
    rows: dict[bytes, bytearray] = field(default_factory=dict)

    def keep(self, need: Need, at: Location) -> None:
        """Keep where a needed chunk was found: 52 bytes each, since a snapshot may need millions."""
        row = Row(need.id, at.kind, at.slot, at.counter, at.offset, at.stored, at.length)
        self.rows.setdefault(at.pack, bytearray()).extend(row.encode() + bytes([need.length is not None]))

    def needed(self, pack: bytes) -> Iterator[tuple[Need, Row]]:
        """What is needed of a pack and was kept; a chunk as often as it is needed."""
        rows = bytes(self.rows.get(pack, b""))
        for at in range(0, len(rows), _KEPT_BYTES):
            one = rows[at : at + _KEPT_BYTES]
            row = Row.decode(Cursor(one, "a row"))
            yield Need(row.id, row.kind, row.length if one[-1] else None), row

    def count(self, packs: Iterable[bytes]) -> int:
        """How many chunks are needed of these packs."""
        return sum(len(self.rows.get(pack, b"")) // _KEPT_BYTES for pack in packs)


class Lookup:
    """Finds for each chunk needed a pack that is there. ``listing`` is what was found so far."""

    def __init__(
        self,
        repository: Repository,
        reader: ChunkReader,
        avoid: Collection[bytes] = (),
        *,
        keeps_rows: bool = False,
    ) -> None:
        self.listing = Listing()
        self._reader, self._avoid, self._keeps_rows = reader, avoid, keeps_rows
        self._there = {info.name: info.size for info in repository.storage.list("packs/")}

    def add(self, need: Need, stream: str) -> None:
        """Look one up, which a stream needs."""
        listing, there = self.listing, self._there
        listing.chunks += 1
        try:
            locations = [one for one in self._reader.locations(need.id) if need.fits(one)]
            if not locations:
                raise DamagedObjectError(f"the index and a page disagree about chunk {need.id.hex()[:16]}")
        except DamagedObjectError as error:
            listing.problems.append(Problem.of(error, stream=stream))
            return
        present = [one for one in locations if there.get(pack_name(one.pack)) == one.pack_size]
        one = ([one for one in present if one.pack not in self._avoid] or present or locations)[0]
        listing.packs[one.pack] = one.pack_size
        if self._keeps_rows:
            listing.keep(need, one)
        needed_by = listing.streams.setdefault(one.pack, [])
        if stream not in needed_by[-1:]:
            needed_by.append(stream)
            if not present:
                listing.problems.append(_absent(pack_name(one.pack), one.pack_size, there, stream))


def list_needed(
    repository: Repository,
    contents: Contents,
    entries: Sequence[StreamEntry] | None = None,
    avoid: Collection[bytes] = (),
    *,
    keeps_rows: bool = False,
    bounds: bool = True,
) -> Listing:
    """Is every object there, with its size, that these streams (all by default) need? `bounds` of ranges are needed for
    increments only.

    Where a chunk lies in several packs, one is looked for that is there and not among those to `avoid`.
    """
    lookup = Lookup(repository, contents.reader, avoid, keeps_rows=keeps_rows)
    listing = lookup.listing
    try:
        for id_, length in contents.manifest.stream_chunks:
            lookup.add(Need(id_, ChunkKind.CATALOG, length), "")
        if entries is None:
            entries = contents.streams()
            listing.problems += _contradictions(contents.manifest, entries)
    except RepositoryError as error:
        listing.problems.append(Problem.of(error))
        return listing
    for entry in entries:
        stream = f"{entry.source}/{entry.name}"
        try:
            for need in contents.needs(entry, bounds=bounds):
                lookup.add(need, stream)
        except RepositoryError as error:
            listing.problems.append(Problem.of(error, stream=stream))
    return listing


def _contradictions(manifest: Manifest, entries: Sequence[StreamEntry]) -> Iterator[Problem]:
    """Where the stream list is not the one that the manifest announces."""
    if len(entries) != manifest.stream_count:
        message = f"{manifest.name} announces {manifest.stream_count} streams, and its list has {len(entries)}"
        yield Problem("damaged-object", manifest.name, "", message)
    sources = {source.name for source in manifest.sources}
    times = Counter((entry.source, entry.name) for entry in entries)
    for (source, name), count in times.items():
        if count > 1:
            message = f"{manifest.name} lists this stream {count} times"
            yield Problem("damaged-object", manifest.name, f"{source}/{name}", message)
        if source not in sources:
            message = f"{manifest.name} lists this stream, but no source {source}"
            yield Problem("damaged-object", manifest.name, f"{source}/{name}", message)


def _absent(name: str, size: int, there: dict[str, int], stream: str) -> Problem:
    if name not in there:
        return Problem("missing-object", name, stream, f"{name} is missing")
    return Problem("damaged-object", name, stream, f"{name} has {there[name]} bytes instead of {size}")


def weakest_proof(entries: Sequence[StreamEntry]) -> str:
    """The weakest proof that the streams declare."""
    order = list(Proof)
    return max((Proof(entry.proof) for entry in entries), key=order.index, default=Proof.IDENTICAL)

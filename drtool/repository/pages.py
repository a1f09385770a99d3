"""The page tree: the chunk list of a stream, so that an unchanged part costs nothing (docs/format.md, "Pages")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from drtool.errors import DamagedObjectError
from drtool.repository.chunks import ID_BYTES
from drtool.repository.wire import Cursor

MIN_ENTRIES = 32
MAX_ENTRIES = 512
#: One entry in so many may end a page, once it has MIN_ENTRIES.
SPREAD_ENTRIES = 128
#: A leaf's bounds end it too: keys may be long, and a chunk may not.
MAX_BOUNDS_BYTES = 1024 * 1024
MAX_LEVEL = 16
LEAF = 0
_CUT_BELOW = (1 << 64) // SPREAD_ENTRIES


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """One chunk of a stream: its id, its length in bytes and how many records it holds."""

    id: bytes
    length: int
    records: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and the last record key of a chunk."""

    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class PageRef:
    """A page and what lies below it. As a root it stands for a whole stream; `level` 0 is a leaf."""

    id: bytes
    level: int
    chunks: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf page: chunks, and the id and length of the private chunk that holds their bounds."""

    bounds: bytes
    bounds_length: int
    chunks: tuple[ChunkRef, ...]


@dataclass(frozen=True, slots=True)
class Inner:
    """A page of pages, all of the level below its own."""

    level: int
    pages: tuple[PageRef, ...]


@dataclass(frozen=True, slots=True)
class BuiltPage:
    """A page and its bytes; of a leaf also the first record key and the encoded bounds."""

    ref: PageRef
    data: bytes
    first: bytes = b""
    bounds: bytes = b""


class PageBuilder:
    """Builds the tree of one stream from its chunks, or whole leaves of an older tree, in order.

    `put_page` and `put_bounds` store a catalog and a private chunk and return its id. `built` is told of every page.
    """

    def __init__(
        self,
        put_page: Callable[[bytes], bytes],
        put_bounds: Callable[[bytes], bytes],
        built: Callable[[BuiltPage], None] | None = None,
    ) -> None:
        self._put_page = put_page
        self._put_bounds = put_bounds
        self._built = built or _nobody
        self._leaf: list[ChunkRef] = []
        self._bounds: list[Bounds] = []
        self._bounds_bytes = 0
        self._levels: list[list[PageRef]] = []

    def add(self, chunk: ChunkRef, bounds: Bounds) -> None:
        """The next chunk of the stream."""
        self._leaf.append(chunk)
        self._bounds.append(bounds)
        self._bounds_bytes += len(bounds.first) + len(bounds.last) + 8
        if _ends_page(chunk.id, len(self._leaf)) or self._bounds_bytes >= MAX_BOUNDS_BYTES:
            self._close_leaf()

    @property
    def begins_leaf(self) -> bool:
        """Would the next chunk be the first of a leaf?"""
        return not self._leaf

    def add_leaf(self, ref: PageRef) -> None:
        """The next chunks of the stream: those of a leaf that is stored, as it is.

        For where a leaf begins, and for a leaf that the rule ended, or the end of the stream if that is here, too.
        """
        if self._leaf or ref.level != LEAF:
            raise ValueError("a whole leaf does not fit here")
        self._push(0, ref)

    def finish(self) -> PageRef | None:
        """The root; None for a stream without chunks."""
        if self._leaf:
            self._close_leaf()
        level = 0
        while level < len(self._levels):
            pages = self._levels[level]
            if level == len(self._levels) - 1 and len(pages) == 1:
                return pages[0]
            if pages:
                self._close_inner(level)
            level += 1
        return None

    def _close_leaf(self) -> None:
        bounds = encode_bounds(self._bounds)
        page = encode_leaf(Leaf(self._put_bounds(bounds), len(bounds), tuple(self._leaf)))
        ref = PageRef(
            self._put_page(page),
            LEAF,
            len(self._leaf),
            sum(chunk.records for chunk in self._leaf),
            sum(chunk.length for chunk in self._leaf),
        )
        self._built(BuiltPage(ref, page, self._bounds[0].first, bounds))
        self._leaf, self._bounds, self._bounds_bytes = [], [], 0
        self._push(0, ref)

    def _close_inner(self, level: int) -> None:
        pages = tuple(self._levels[level])
        self._levels[level] = []
        page = encode_inner(pages)
        ref = PageRef(
            self._put_page(page),
            level + 1,
            sum(page.chunks for page in pages),
            sum(page.records for page in pages),
            sum(page.bytes for page in pages),
        )
        self._built(BuiltPage(ref, page))
        self._push(level + 1, ref)

    def _push(self, level: int, ref: PageRef) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(ref)
        if _ends_page(ref.id, len(self._levels[level])):
            self._close_inner(level)


def _nobody(_page: BuiltPage) -> None:
    """Is told of a page where nobody wants to be."""


def _ends_page(id_: bytes, count: int) -> bool:
    return count >= MAX_ENTRIES or (count >= MIN_ENTRIES and int.from_bytes(id_[:8]) < _CUT_BELOW)


def encode_leaf(leaf: Leaf) -> bytes:
    """A leaf page's bytes."""
    head = bytes([LEAF]) + len(leaf.chunks).to_bytes(4) + leaf.bounds + leaf.bounds_length.to_bytes(4)
    return head + b"".join(c.id + c.length.to_bytes(4) + c.records.to_bytes(4) for c in leaf.chunks)


def encode_inner(pages: tuple[PageRef, ...]) -> bytes:
    """An inner page's bytes; all of its pages have the level below its own."""
    head = bytes([pages[0].level + 1]) + len(pages).to_bytes(4)
    return head + b"".join(p.id + p.chunks.to_bytes(8) + p.records.to_bytes(8) + p.bytes.to_bytes(8) for p in pages)


def decode_page(data: bytes) -> Leaf | Inner:
    """A page from its bytes."""
    cursor = Cursor(data, "a page")
    level, count = cursor.u8(), cursor.u32()
    page: Leaf | Inner
    if level == LEAF:
        bounds, length = cursor.take(ID_BYTES), cursor.u32()
        page = Leaf(
            bounds,
            length,
            tuple(ChunkRef(cursor.take(ID_BYTES), cursor.u32(), cursor.u32()) for _ in range(count)),
        )
    else:
        page = Inner(
            level,
            tuple(
                PageRef(cursor.take(ID_BYTES), level - 1, cursor.u64(), cursor.u64(), cursor.u64())
                for _ in range(count)
            ),
        )
    cursor.finish()
    return page


def walk(root: PageRef | None, get_page: Callable[[bytes], bytes]) -> Iterator[Leaf]:
    """The leaves below `root`, in order. Counts that do not add up are a ``DamagedObjectError``."""
    return (page for _, page in visit(root, get_page) if isinstance(page, Leaf))


def visit(
    root: PageRef | None, get_page: Callable[[bytes], bytes], skip: Callable[[PageRef], bool] | None = None
) -> Iterator[tuple[PageRef, Leaf | Inner]]:
    """Every page below and including `root`, parents first, leaves in order; what `skip` knows is not read, nor what
    lies below it. Counts that do not add up are a ``DamagedObjectError``."""
    if root is None:
        return
    if root.level > MAX_LEVEL:
        raise DamagedObjectError(f"a page tree claims {root.level} levels")
    yield from _visit(root, get_page, skip)


def _children(ref: PageRef, get_page: Callable[[bytes], bytes]) -> Sequence[PageRef]:
    page = decode_page(get_page(ref.id))
    if ref.level > MAX_LEVEL or isinstance(page, Leaf) or any(child.level != ref.level - 1 for child in page.pages):
        raise DamagedObjectError("a page has another level than its parent says")
    return page.pages


def _visit(
    ref: PageRef, get_page: Callable[[bytes], bytes], skip: Callable[[PageRef], bool] | None
) -> Iterator[tuple[PageRef, Leaf | Inner]]:
    if skip is not None and skip(ref):
        return
    page = decode_page(get_page(ref.id))
    level, totals = _measure(page)
    if level != ref.level:
        raise DamagedObjectError("a page has another level than its parent says")
    if totals != (ref.chunks, ref.records, ref.bytes):
        raise DamagedObjectError("a page does not hold what its parent announces")
    yield ref, page
    if isinstance(page, Inner):
        for child in page.pages:
            yield from _visit(child, get_page, skip)


def _measure(page: Leaf | Inner) -> tuple[int, tuple[int, int, int]]:
    """A page's level, and how many chunks, records and bytes lie below it."""
    if isinstance(page, Leaf):
        chunks = page.chunks
        return LEAF, (len(chunks), sum(c.records for c in chunks), sum(c.length for c in chunks))
    pages = page.pages
    sums = (sum(p.chunks for p in pages), sum(p.records for p in pages), sum(p.bytes for p in pages))
    return page.level, sums


def page_ids(root: PageRef | None, get_page: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The ids of all pages below and including `root`."""
    if root is None:
        return
    yield root.id
    if root.level > LEAF:
        for child in _children(root, get_page):
            yield from page_ids(child, get_page)


def leaf_refs(root: PageRef | None, get_page: Callable[[bytes], bytes]) -> Iterator[PageRef]:
    """The leaves below `root`, in order, without reading them."""
    if root is None:
        return
    if root.level == LEAF:
        yield root
        return
    for child in _children(root, get_page):
        yield from leaf_refs(child, get_page)


def encode_bounds(bounds: Iterable[Bounds]) -> bytes:
    """A private chunk: for each chunk of a leaf its first and last record key."""
    parts: list[bytes] = []
    for bound in bounds:
        for key in (bound.first, bound.last):
            parts.append(len(key).to_bytes(4))
            parts.append(key)
    return b"".join(parts)


def decode_bounds(data: bytes) -> list[Bounds]:
    """What `encode_bounds` wrote."""
    cursor = Cursor(data, "a chunk of range bounds")
    bounds: list[Bounds] = []
    while not cursor.at_end:
        first = cursor.take(cursor.u32())
        bounds.append(Bounds(first, cursor.take(cursor.u32())))
    return bounds

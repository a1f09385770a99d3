"""The pages of a job's streams: stored in the repository, and kept on this host for the next increment.

A file on a disk is no proof: what is kept is checked before it is used, pages and bounds by their chunk ids, the first
key of a leaf, which is used without its bounds, by a keyed hash.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from blake3 import blake3

from drtool.operations.backup.collecting import PartList
from drtool.operations.backup.coverage import Coverage, Item, KeptLeaf, NotKeptError, gapped
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import BuiltPage, Leaf, PageBuilder, PageRef, decode_bounds, decode_page, leaf_refs
from drtool.repository.repository import Repository
from drtool.repository.state import KeptPage
from drtool.repository.writer import ChunkWriter
from drtool.sources.cutting import Chunk
from drtool.sources.reading import KeyRange

_ROWS_AT_ONCE = 256
#: From so many leaves a part on, parts are even enough if they begin with a leaf.
_LEAVES_PER_PART = 4
_SEAL_BYTES = 16


class Pages:
    """Builds the trees of the snapshot with this number of a job's chain, and finds those of the one before.

    ``used`` are the ids of all pages that the new trees consist of, once `flush` was called.
    """

    def __init__(self, repository: Repository, writer: ChunkWriter, job: str, number: int) -> None:
        self._state, self._writer, self._keyring = repository.state, writer, repository.keyring
        self._job, self._number = job, number
        self._rows: list[KeptPage] = []
        self.used: set[bytes] = set()

    def leaves(self, root: PageRef | None) -> list[KeptLeaf]:
        """The leaves of a tree; ``NotKeptError`` where this host did not keep all of it, or no longer as it was."""
        refs = list(leaf_refs(root, lambda id_: self._kept(id_).data))
        return [KeptLeaf(ref, self._first(ref.id), ends_tree=ref is refs[-1]) for ref in refs]

    def parts(self, root: PageRef | None, count: int) -> Sequence[KeyRange] | None:
        """`count` ranges that begin where chunks of a tree began; None where that is not known here."""
        try:
            leaves = self.leaves(root)
            firsts = [leaf.first for leaf in leaves]
            if len(firsts) < _LEAVES_PER_PART * count:
                lists = [self.expand(leaf) for leaf in leaves]
                firsts = [chunks.first(index) for chunks in lists for index in range(len(chunks))]
        except NotKeptError:
            return None
        if len(firsts) < count:
            return None
        bounds = [firsts[number * len(firsts) // count] for number in range(1, count)]
        return [KeyRange(lower, upper) for lower, upper in zip([None, *bounds], [*bounds, None], strict=True)]

    def expand(self, leaf: KeptLeaf) -> PartList:
        """The chunks of a leaf; ``NotKeptError`` where they are no longer what was kept."""
        kept = self._kept(leaf.ref.id)
        page = decode_page(kept.data)
        if not isinstance(page, Leaf) or chunk_id(self._keyring, ChunkKind.PRIVATE, kept.bounds) != page.bounds:
            raise self._damaged(kept.id)
        bounds = decode_bounds(kept.bounds)
        chunks = PartList(inherited=True)
        for ref, bound in zip(page.chunks, bounds, strict=True):
            chunks.add(ref.id, ref.length, Chunk(b"", ref.records, bound.first, bound.last))
        return chunks

    def without(self, leaves: Sequence[KeptLeaf], lost: Container[bytes]) -> Coverage:
        """What is kept of these leaves, with gaps for chunks that are lost. Leaves that are lost themselves, or their
        bounds, are taken apart, so that they are stored anew. ``NotKeptError`` as for `expand`."""
        items: list[Item] = []
        for leaf in leaves:
            page = decode_page(self._kept(leaf.ref.id).data)
            if not isinstance(page, Leaf):
                raise self._damaged(leaf.ref.id)
            numbers = {number for number, chunk in enumerate(page.chunks) if chunk.id in lost}
            if numbers or leaf.ref.id in lost or page.bounds in lost:
                items += gapped(self.expand(leaf), numbers)
            else:
                items.append(leaf)
        return Coverage(items, self.expand)

    def build(self, coverage: Coverage) -> PageRef | None:
        """Store the pages of a stream; its root."""
        builder = PageBuilder(
            lambda page: self._writer.add(ChunkKind.CATALOG, page),
            lambda bounds: self._writer.add(ChunkKind.PRIVATE, bounds),
            self._built,
        )
        self.used.update(ref.id for ref in coverage.build(builder))
        return builder.finish()

    def flush(self) -> None:
        """Keep what was built."""
        self._state.keep_pages(self._job, self._number, self._rows)
        self._rows = []

    def _built(self, page: BuiltPage) -> None:
        self.used.add(page.ref.id)
        seal = self._seal(page.ref.id, page.first)
        self._rows.append(KeptPage(page.ref.id, page.data, page.first, page.bounds, seal))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def _kept(self, id_: bytes) -> KeptPage:
        kept = self._state.page(self._job, id_)
        if kept is None:
            raise self._missing(id_)
        if chunk_id(self._keyring, ChunkKind.CATALOG, kept.data) != id_:
            raise self._damaged(id_)
        return kept

    def _first(self, id_: bytes) -> bytes:
        found = self._state.first_key(self._job, id_)
        if found is None:
            raise self._missing(id_)
        first, seal = found
        if self._seal(id_, first) != seal:
            raise self._damaged(id_)
        return first

    def _seal(self, id_: bytes, first: bytes) -> bytes:
        return blake3(id_ + first, key=self._keyring.seal_key).digest(_SEAL_BYTES)

    def _missing(self, id_: bytes) -> NotKeptError:
        return NotKeptError(f"the local state {self._state.path} lacks page {id_.hex()[:16]} of the last snapshot")

    def _damaged(self, id_: bytes) -> NotKeptError:
        return NotKeptError(f"the local state {self._state.path} is damaged: page {id_.hex()[:16]} is another one")

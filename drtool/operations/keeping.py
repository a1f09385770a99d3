"""The pages of a job's streams: stored in the repository, and kept on this host for the next increment."""

from __future__ import annotations

from collections.abc import Sequence

from drtool.errors import RepositoryError
from drtool.operations.collecting import PartList
from drtool.operations.coverage import Coverage, KeptLeaf
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import BuiltPage, Leaf, PageBuilder, PageRef, decode_bounds, decode_page, leaf_refs
from drtool.repository.repository import Repository
from drtool.repository.state import KeptPage
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import KeyRange
from drtool.sources.cutting import Chunk

_ROWS_AT_ONCE = 256
#: From so many leaves a part on, parts are even enough if they begin with a leaf.
_LEAVES_PER_PART = 4


class Pages:
    """Builds the trees of the snapshot with this number of a job's chain, and finds those of the one before.

    ``used`` are the ids of all pages that the new trees consist of, once `flush` was called.
    """

    def __init__(self, repository: Repository, writer: ChunkWriter, job: str, number: int) -> None:
        self._state, self._writer = repository.state, writer
        self._job, self._number = job, number
        self._rows: list[KeptPage] = []
        self.used: set[bytes] = set()

    def leaves(self, root: PageRef | None) -> list[KeptLeaf] | None:
        """The leaves of a tree; None where this host did not keep all of it."""
        try:
            refs = list(leaf_refs(root, lambda id_: self._kept(id_).data))
        except RepositoryError:
            return None
        firsts = [self._state.first_key(self._job, ref.id) for ref in refs]
        leaves: list[KeptLeaf] = []
        for number, (ref, first) in enumerate(zip(refs, firsts, strict=True), start=1):
            if first is None:
                return None
            leaves.append(KeptLeaf(ref, first, ends_tree=number == len(refs)))
        return leaves

    def parts(self, root: PageRef | None, count: int) -> Sequence[KeyRange] | None:
        """`count` ranges that begin where chunks of a tree began; None where that is not known here."""
        leaves = self.leaves(root) or []
        firsts = [leaf.first for leaf in leaves]
        if len(firsts) < _LEAVES_PER_PART * count:
            lists = [self.expand(leaf) for leaf in leaves]
            firsts = [chunks.first(index) for chunks in lists for index in range(len(chunks))]
        if len(firsts) < count:
            return None
        bounds = [firsts[number * len(firsts) // count] for number in range(1, count)]
        return [KeyRange(lower, upper) for lower, upper in zip([None, *bounds], [*bounds, None], strict=True)]

    def expand(self, leaf: KeptLeaf) -> PartList:
        """The chunks of a leaf."""
        kept = self._kept(leaf.ref.id)
        page, bounds = decode_page(kept.data), decode_bounds(kept.bounds)
        if not isinstance(page, Leaf) or not len(page.chunks) == len(bounds) == leaf.ref.chunks:
            raise RepositoryError("the local state is damaged: a page does not fit its bounds")
        chunks = PartList(inherited=True)
        for ref, bound in zip(page.chunks, bounds, strict=True):
            chunks.add(ref.id, ref.length, Chunk(b"", ref.records, bound.first, bound.last))
        return chunks

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
        self._rows.append(KeptPage(page.ref.id, page.data, page.first, page.bounds))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def _kept(self, id_: bytes) -> KeptPage:
        kept = self._state.page(self._job, id_)
        if kept is None:
            raise RepositoryError("the local state lacks a page of the last snapshot")
        return kept

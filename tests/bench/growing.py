"""A stream as years of backups see it: a list of chunks that changes in places, and its page tree after each change."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from drtool.repository.pages import LEAF, Bounds, BuiltPage, ChunkRef, PageBuilder, PageRef

Put = Callable[[bytes], bytes]

_LENGTHS = (262_144, 700_000)
_RECORD_BYTES = 480
#: What changes lies together: so many neighbours at a time (an import, the newest records).
_NEIGHBOURS = 40
#: One in so many new chunks is at the end.
_APPENDED = 8


@dataclass(slots=True)
class _Leaf:
    """The chunks of a leaf page; ``ref`` is None where they changed since the tree was built."""

    chunks: list[tuple[ChunkRef, Bounds]]
    ref: PageRef | None = None


@dataclass(slots=True)
class GrowingStream:
    """Its chunks are made up: ids and lengths without records. The same `dice` give the same chunks."""

    name: str
    dice: random.Random
    _leaves: list[_Leaf] = field(default_factory=list)
    _appended: int = 0

    def grow(self, count: int) -> list[ChunkRef]:
        """Append chunks; the new ones."""
        added = [(self._chunk(), self._bounds()) for _ in range(count)]
        if not self._leaves:
            self._leaves.append(_Leaf([]))
        self._leaves[-1].chunks += added
        self._leaves[-1].ref = None
        return [chunk for chunk, _ in added]

    def change(self, count: int) -> list[ChunkRef]:
        """Replace runs of neighbours and append some, `count` in all; the new ones."""
        made = self.grow(count // _APPENDED)
        while len(made) < count:
            leaf = self.dice.choice(self._leaves)
            start = self.dice.randrange(len(leaf.chunks))
            wanted = min(_NEIGHBOURS, count - len(made))
            for position in range(start, min(start + wanted, len(leaf.chunks))):
                chunk = self._chunk()
                leaf.chunks[position] = (chunk, leaf.chunks[position][1])
                made.append(chunk)
            leaf.ref = None
        return made

    def tree(self, put_page: Put, put_bounds: Put) -> PageRef | None:
        """Build the page tree anew where chunks changed; its root."""
        leaves: list[_Leaf] = []
        pending: list[tuple[ChunkRef, Bounds]] = []

        def built(page: BuiltPage) -> None:
            if page.ref.level == LEAF:
                leaves.append(_Leaf(list(pending), page.ref))
                pending.clear()

        pages = PageBuilder(put_page, put_bounds, built)
        for leaf in self._leaves:
            if pages.begins_leaf and leaf.ref is not None:
                pages.add_leaf(leaf.ref)
                leaves.append(leaf)
                continue
            for entry in leaf.chunks:
                pending.append(entry)
                pages.add(*entry)
        root = pages.finish()
        self._leaves = leaves
        return root

    def _chunk(self) -> ChunkRef:
        length = self.dice.randint(*_LENGTHS)
        return ChunkRef(self.dice.randbytes(32), length, length // _RECORD_BYTES)

    def _bounds(self) -> Bounds:
        self._appended += 1
        first = self._appended << 32
        return Bounds(b"\x07" + first.to_bytes(12), b"\x07" + (first + 1).to_bytes(12))

"""What a snapshot or a segment consists of, for whoever moves it: as needs, and each page once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drtool.operations.contents import Contents, Need
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import Leaf, PageRef, visit
from drtool.repository.segments import Segment


@dataclass(frozen=True, slots=True)
class Tree:
    """Some chunks, and a tree of pages with all that it refers to."""

    needs: tuple[Need, ...]
    root: PageRef | None = None


def trees_of(contents: Contents) -> Iterator[Tree]:
    """A snapshot: its stream list, then its streams."""
    yield Tree(tuple(Need(id_, ChunkKind.CATALOG, length) for id_, length in contents.manifest.stream_chunks))
    for entry in contents.streams():
        yield Tree((Need(entry.definition, ChunkKind.PRIVATE, entry.definition_length),), entry.root)


def tree_of(segment: Segment) -> Tree:
    """A segment of an archived log."""
    return Tree((), segment.root)


def needs_in(tree: Tree, get_page: Callable[[bytes], bytes], skip: Callable[[PageRef], bool]) -> Iterator[Need]:
    """Everything in a tree but what lies below pages that `skip` knows."""
    yield from tree.needs
    for ref, page in visit(tree.root, get_page, skip):
        yield Need(ref.id, ChunkKind.CATALOG, None)
        if isinstance(page, Leaf):
            yield Need(page.bounds, ChunkKind.PRIVATE, page.bounds_length)
            for chunk in page.chunks:
                yield Need(chunk.id, ChunkKind.DATA, chunk.length)

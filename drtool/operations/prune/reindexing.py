"""Index objects put in order: entries of packs that go are left out, small objects become one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from drtool.repository.index import index_name, seal_index
from drtool.repository.layout import Entry, Layout
from drtool.repository.repository import Repository

#: An object with fewer bytes of entries is small; several small ones are merged, into objects of about so many bytes.
_SMALL_BYTES = 1024 * 1024
_MERGED_BYTES = 4 * 1024 * 1024
#: Fewer small objects than this are left as they are: each backup makes one.
_FEW = 4


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """``objects`` are to be replaced by as many as `entries` need."""

    objects: tuple[str, ...]
    entries: tuple[Entry, ...]

    @classmethod
    def make(cls, layout: Layout, gone: Collection[bytes]) -> IndexPlan:
        """Leave out the entries of `gone` packs, and merge."""
        touched = {entry.object for entry in layout.entries if entry.pack in gone}
        touched |= {name for name, size in layout.objects.items() if not size}
        small = {name for name, size in layout.objects.items() if size < _SMALL_BYTES}
        if touched or len(small) >= _FEW:
            touched |= small
        kept: dict[tuple[bytes, bytes, bytes], Entry] = {}
        for entry in layout.entries:
            if entry.object in touched and entry.pack not in gone:
                kept.setdefault((entry.pack, entry.indexed_by, entry.rows.tobytes()), entry)
        if len(touched) == 1 and len(kept) == sum(entry.object in touched for entry in layout.entries):
            return cls((), ())  # it would become itself
        return cls(tuple(sorted(touched)), tuple(kept.values()))

    def payloads(self) -> Iterator[bytes]:
        """The entries of each object to store."""
        parts: list[bytes] = []
        size = 0
        for entry in self.entries:
            part = entry.encode()
            if size and size + len(part) > _MERGED_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
            parts.append(part)
            size += len(part)
        if parts:
            yield b"".join(parts)


def store(repository: Repository, payloads: Iterable[bytes]) -> list[str]:
    """Store index objects of a maintainer's, which keep who indexed what; their names."""
    signer = repository.maintainer
    assert signer is not None
    names = []
    for payload in payloads:
        data = seal_index(payload, repository.keyring, signer, repository.document.repository)
        repository.storage.put(index_name(data), data)
        names.append(index_name(data))
    return names

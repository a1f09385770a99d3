"""Rebuilding the index from the packs, which hold all that it says (docs/format.md, "Index")."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from drtool.errors import (
    DamagedObjectError,
    DrtoolError,
    ObjectMissingError,
    PermissionDeniedError,
    RepositoryError,
    TamperedError,
)
from drtool.operations.contents import Problem
from drtool.operations.repair.entries import entries_of
from drtool.operations.reporting import Reporter
from drtool.repository.index import decode_index, encode_index, index_name
from drtool.repository.packs import PackEntry, pack_name
from drtool.repository.repository import Repository
from drtool.repository.storing import PACKS_PER_INDEX
from drtool.repository.tombstones import read_tombstones

#: What an index object may be replaced for: whoever reads it anew gets nothing from it.
_USELESS = (DamagedObjectError, TamperedError)


@dataclass(slots=True)
class IndexFound:
    """What the index is like. ``unindexed`` are packs (with their sizes) that no readable index object names, or only
    with another size (``differing``); ``bad`` are index objects that cannot be read. ``gone`` are packs that the index
    names and that are not there: it goes on naming them, since that tells what snapshots lack; garbage collection takes
    them out once nothing needs them."""

    objects: int = 0
    packs: int = 0
    unindexed: dict[bytes, int] = field(default_factory=dict)
    differing: set[bytes] = field(default_factory=set)
    gone: set[bytes] = field(default_factory=set)
    bad: dict[str, DrtoolError] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Is there nothing to repair?"""
        return not (self.unindexed or self.bad)


@dataclass(slots=True)
class IndexRepaired:
    """What was done. ``rebuilt`` are packs that the index finds again, with ``chunks``; ``left`` is what could not be
    repaired; ``removed`` are index objects that others replace."""

    rebuilt: list[bytes] = field(default_factory=list)
    chunks: int = 0
    removed: list[str] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)


class IndexRepair:
    """Looks (`find`), then repairs. What is stored is stored before anything is deleted, so that a run which is killed
    leaves nothing worse than it was, and the next one goes on.

    Make it inside a registered run. Deleting needs the role maintainer; without it entries are only added.
    """

    def __init__(self, repository: Repository, reporter: Reporter) -> None:
        self._repository = repository
        self._reporter = reporter

    def find(self) -> IndexFound:
        """Compare every index object with the packs that are there. Reads no pack."""
        storage, found = self._repository.storage, IndexFound()
        named: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
        # Before the packs are listed: whoever backs up meanwhile stores a pack first, and then what names it.
        for name, data in self._repository.fetch(storage.list("index/")):
            if data is None:
                continue
            found.objects += 1
            try:
                for entry in self._entries(name, data):
                    named[entry.sha256].append((name, entry.size))
            except DrtoolError as error:
                found.bad[name] = error.about(name)
        going = self._going()  # after the index, before the packs: what was taken out of it is marked still, or gone
        there = {bytes.fromhex(info.name[-64:]): info.size for info in storage.list("packs/") if _is_pack(info.name)}
        found.packs = len(there)
        for sha256, size in sorted(there.items()):
            if sha256 not in going and all(size != told for _, told in named[sha256]):
                found.unindexed[sha256] = size
                found.differing |= {sha256} if named[sha256] else set()
        found.gone = named.keys() - there.keys()  # what only a delete hides is listed, too
        return found

    def repair(self, found: IndexFound) -> IndexRepaired:
        """Rebuild what is missing, then drop what is useless."""
        done = IndexRepaired()
        self._rebuild(found, done)
        for name, error in sorted(found.bad.items()):
            self._replace_bad(name, error, done)
        self._repository.refresh_index()
        return done

    def _going(self) -> set[bytes]:
        """The packs that garbage collection is deleting: it has taken them out of the index for good."""
        going: set[bytes] = set()
        with contextlib.suppress(RepositoryError):  # one that cannot be read: its packs are indexed, which is harmless
            for tombstone in read_tombstones(self._repository):
                going |= tombstone.packs if tombstone.sweep else frozenset()
        return going

    def _rebuild(self, found: IndexFound, done: IndexRepaired) -> None:
        task = "Reading packs that no index object names"
        self._reporter.start(task, sum(found.unindexed.values()))
        entries: list[PackEntry] = []
        try:
            packs = entries_of(self._repository, found.unindexed, lambda size: self._reporter.advance(task, size))
            for pack in packs:
                if pack.error is not None:
                    done.left.append(Problem.of(pack.error))
                if pack.entry is not None and (pack.error is None or pack.sha256 not in found.differing):
                    entries.append(pack.entry)
                    done.rebuilt.append(pack.sha256)
                    done.chunks += len(pack.entry.rows)
                if len(entries) >= PACKS_PER_INDEX:
                    self._put(entries)
                    entries = []
            self._put(entries)
        finally:
            self._reporter.finish(task)

    def _replace_bad(self, name: str, error: DrtoolError, done: IndexRepaired) -> None:
        """Delete an index object that nobody can read; what it should say is stored by now."""
        if not isinstance(error, _USELESS):
            done.left.append(Problem.of(error))  # another key, or the store's trouble: it may well be sound
            return
        try:
            list(self._entries(name, self._repository.storage.get(name)))
        except ObjectMissingError:
            return
        except _USELESS:
            self._delete(name, error, done)

    def _delete(self, name: str, error: DrtoolError, done: IndexRepaired) -> None:
        if self._repository.maintainer is None:
            done.left.append(Problem.of(error))
            return
        try:
            self._repository.storage.delete(name)
        except PermissionDeniedError as denied:
            done.left.append(Problem.of(denied, object_=name))
            return
        done.removed.append(name)

    def _put(self, entries: Sequence[PackEntry]) -> None:
        if not entries:
            return
        repository = self._repository
        signer = repository.maintainer or repository.signer
        data = encode_index(entries, repository.keyring, signer, repository.document.repository)
        repository.storage.put(index_name(data), data)

    def _entries(self, name: str, data: bytes | DrtoolError) -> Iterator[PackEntry]:
        if isinstance(data, DrtoolError):
            raise data
        yield from decode_index(data, name, self._repository.keyring, self._repository.document)


def _is_pack(name: str) -> bool:
    tail = name[-64:]
    return len(tail) == 64 and not set(tail) - set("0123456789abcdef") and name == pack_name(bytes.fromhex(tail))

"""Which chunks can be had, and which packs are not what they should be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from drtool.errors import DamagedObjectError, ObjectMissingError, WrongKeyError
from drtool.operations.contents import Need
from drtool.operations.verify.inspecting import PACKS_AT_ONCE
from drtool.repository.cache import Location
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository


class Holdings:
    """Answers for each chunk whether a pack that is there holds it. The index must be up to date.

    A pack that is there with its size is taken for whole unless it is among the `suspects`: their chunks are opened one
    by one, as far as the keys at hand allow it; the others of theirs are taken for lost. ``lost`` are the chunks asked
    for that cannot be had, each with the packs that should hold it (none where no index object names the chunk).
    """

    def __init__(self, repository: Repository, reader: ChunkReader, suspects: Iterable[bytes]) -> None:
        self._repository, self._reader = repository, reader
        self._there = {info.name: info.size for info in repository.storage.list("packs/")}
        self.suspects = set(suspects)
        self.lost: dict[bytes, tuple[bytes, ...]] = {}
        self._opened: set[bytes] = set()

    def has(self, need: Need) -> bool:
        """Can this chunk be had?"""
        if need.id in self.lost:
            return False
        if need.id in self._opened:
            return True
        places = [place for place in self._repository.cache.locations(need.id) if need.fits(place)]
        if any(self._is_there(place) and place.pack not in self.suspects for place in places):
            return True
        if any(self._is_there(place) for place in places) and self._opens(need):
            self._opened.add(need.id)
            return True
        self.lost[need.id] = tuple(dict.fromkeys(place.pack for place in places))
        return False

    def lose(self, need: Need) -> None:
        """A chunk that was there opens nowhere: its packs are read, and those that were altered are to blame."""
        there = filter(self._is_there, self._repository.cache.locations(need.id))
        packs = dict.fromkeys(place.pack for place in there)
        self.lost[need.id] = tuple(pack for pack in packs if self._is_altered(pack))

    def absent(self) -> set[bytes]:
        """The packs that the index names and that are not there with their sizes."""
        packs = self._repository.cache.packs()
        return {sha256 for sha256, size in packs if self._there.get(pack_name(sha256)) != size}

    def readable(self, packs: Iterable[bytes] | None = None) -> dict[bytes, int]:
        """Those of these packs (by default of all that the index names) that are there, with their sizes."""
        wanted = [sha256 for sha256, _ in self._repository.cache.packs()] if packs is None else packs
        return {sha256: self._there[name] for sha256 in wanted if (name := pack_name(sha256)) in self._there}

    def altered(self, packs: Iterable[bytes], advance: Callable[[int], None]) -> set[bytes]:
        """Read these packs; those that do not have their checksums."""

        def look(sha256: bytes) -> bytes | None:
            return sha256 if self._is_altered(sha256, advance) else None

        with ThreadPoolExecutor(PACKS_AT_ONCE, thread_name_prefix="repair") as pool:
            return set(filter(None, pool.map(look, packs)))

    def _is_altered(self, sha256: bytes, advance: Callable[[int], None] = lambda _: None) -> bool:
        try:
            data = self._repository.storage.get(pack_name(sha256))
        except ObjectMissingError:
            return True
        advance(len(data))
        return hashlib.sha256(data).digest() != sha256

    def _is_there(self, place: Location) -> bool:
        return self._there.get(pack_name(place.pack)) == place.pack_size

    def _opens(self, need: Need) -> bool:
        if need.kind is not ChunkKind.CATALOG and self._repository.identity is None:
            return False
        try:
            self._reader.get(need.kind, need.id, need.length)
        except (DamagedObjectError, WrongKeyError):
            return False
        return True

"""slots/: the keys of packs that were sealed to recipients later go along with the packs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from drtool.errors import DamagedObjectError, ObjectMissingError
from drtool.operations.reporting import Reporter
from drtool.repository.packs import decode_added_slots
from drtool.repository.repository import Repository

_SLOTS = "slots/"


class AddedSlots:
    """The added slots of a repository, by pack. Safe to use from several threads."""

    def __init__(self, source: Repository, reporter: Reporter) -> None:
        self._source = source
        self._reporter = reporter
        self._sizes = {info.name: info.size for info in source.storage.list(_SLOTS)}
        self._by_pack: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        for name in self._sizes:
            parts = name.split("/")
            try:
                fingerprint, sha256 = bytes.fromhex(parts[1]), bytes.fromhex(parts[-1])
            except ValueError:
                continue  # whatever lies there, it is no added slot
            if len(parts) == 3:
                self._by_pack[sha256].append((fingerprint, name))

    def of(self, sha256: bytes) -> Mapping[bytes, Mapping[bytes, bytes]]:
        """The keys added to a pack's slots, by recipient's fingerprint and slot id."""
        found: dict[bytes, Mapping[bytes, bytes]] = {}
        for fingerprint, name in self._by_pack.get(sha256, ()):
            try:
                found[fingerprint] = decode_added_slots(self._source.storage.get(name), name)
            except ObjectMissingError:
                continue
            except DamagedObjectError as error:
                # Nobody but that recipient needs it, and key add makes it anew.
                self._reporter.warn(f"{error.message}: the copy does without it")
        return found

    def carry_to(self, destination: Repository, holds: Callable[[bytes, int], bool]) -> int:
        """Store in `destination` what is missing there for packs that it `holds`; how many objects."""
        there = {info.name: info.size for info in destination.storage.list(_SLOTS)}
        sizes = {bytes(sha256): size for sha256, size in destination.cache.packs()}
        carried = 0
        for sha256, slots in self._by_pack.items():
            if sha256 not in sizes or not holds(sha256, sizes[sha256]):
                continue
            for _, name in slots:
                if there.get(name) != self._sizes[name]:
                    destination.storage.put(name, self._source.storage.get(name))
                    carried += 1
        return carried

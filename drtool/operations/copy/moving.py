"""Moving sealed chunks from one repository of a lineage to another: only what is missing there, and nothing altered.

Packs are read whole, because without the identity only a pack's hash tells whether a sealed chunk is what its signer
stored. A pack that is not goes no further: what lies elsewhere too is taken from there.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from drtool.errors import (
    DamagedObjectError,
    MissingObjectError,
    ObjectMissingError,
    RepositoryError,
    TamperedError,
    WrongKeyError,
)
from drtool.operations.budget import Budget
from drtool.operations.contents import Need
from drtool.operations.copy.carrying import AddedSlots
from drtool.operations.copy.packing import Packing, Shelf
from drtool.operations.copy.wanted import Tree, needs_in
from drtool.operations.reporting import Reporter
from drtool.repository.cache import Location
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import PackEntry, pack_name
from drtool.repository.pages import LEAF, PageRef
from drtool.repository.reader import ChunkReader
from drtool.repository.repacking import WholePack
from drtool.repository.repository import Repository
from drtool.repository.writer import packs_not_to_rely_on

#: So many chunks are looked up before the packs that hold them are moved: some 30 MB of memory.
PORTION = 100_000
_BAD_PACK = (DamagedObjectError, TamperedError, WrongKeyError)
Ids = set[bytes]


@dataclass(slots=True)
class Shipped:
    """What was moved. ``total`` chunks of records are needed, ``sent`` of them were missing; ``bytes`` are those of
    the packs that were stored (of the chunks alone where nothing is written). ``leaves`` are the ids of all leaf pages,
    ``packs`` the packs at the destination that hold what was looked up or moved.
    """

    total: int = 0
    sent: int = 0
    bytes: int = 0
    leaves: Ids = field(default_factory=set)
    packs: Ids = field(default_factory=set)

    def add(self, other: Shipped) -> None:
        """Count `other` in."""
        self.total += other.total
        self.sent += other.sent
        self.bytes += other.bytes


class Mover:
    """Moves what snapshots and segments consist of. Make it only inside a run registered at both ends.

    With `writes` False it looks only, and takes for moved what it would move.
    """

    def __init__(
        self,
        source: Repository,
        destination: Repository,
        budget: Budget,
        reporter: Reporter,
        task: str,
        *,
        writes: bool = True,
    ) -> None:
        self._source = source
        self._destination = destination
        self._reporter = reporter
        self._task = task
        self.reader = ChunkReader(source)
        self._here = {info.name: info.size for info in source.storage.list("packs/")}
        self._avoid = {*_doubtful(source, reporter), *source.state.bad_packs()}
        self._bad: dict[bytes, RepositoryError] = {}
        self._shelf = Shelf(destination)
        self._may_trust = self._shelf.is_whole() and destination.storage.rule is None
        self._added = AddedSlots(source, reporter)
        self._packing = Packing(destination, self._shelf, budget.pack_bytes, self._stored) if writes else None
        self._pool = ThreadPoolExecutor(budget.uploads, thread_name_prefix="move")
        self._lock = threading.Lock()
        self._owner = b""
        self._whole: dict[bytes, set[bytes]] = defaultdict(set)
        #: What is to be moved next, by pack and by who indexed it.
        self._portion: dict[tuple[bytes, bytes], dict[bytes, Need]] = {}
        self._planned = 0
        self._assumed: set[tuple[bytes, bytes]] = set()
        self._now = Shipped()

    def ship(self, trees: Callable[[], Iterable[Tree]], owner: bytes, *, thorough: bool = False) -> Shipped:
        """Make sure that all that is in these trees, which `owner` signed, is stored there and found by the index.

        Leaves of which an earlier call made sure are passed over, unless it is to be `thorough`. ``DamagedObjectError``
        and other errors about the repository's objects where something cannot be had: then nothing may refer to it.
        """
        self._now, self._owner = Shipped(), owner
        self._portion, self._planned = {}, 0
        while True:
            bad = len(self._bad)
            self._now.total = 0
            self._now.leaves.clear()
            for tree in trees():
                for need in needs_in(tree, self.reader.get_page, self._skipping(thorough=thorough)):
                    self._now.total += need.kind is ChunkKind.DATA
                    self._plan(need)
            self._move()
            if len(self._bad) == bad:
                break
        self.flush()
        self._whole[owner] |= self._now.leaves
        return self._now

    def trust(self, owner: bytes, leaves: Iterable[bytes]) -> None:
        """Pass over leaves of a snapshot of `owner` that is at the destination, unless packs or index objects are
        missing there, or packs are locked, so that each that is needed is to be looked at."""
        if self._may_trust:
            self._whole[owner].update(leaves)

    def flush(self) -> None:
        """Store and index what was moved so far, so that the next run need not move it again."""
        if self._packing is not None:
            self._packing.flush()

    def carry_slots(self) -> int:
        """Bring the keys that were sealed to recipients later to the packs that are the same in both; how many."""
        return self._added.carry_to(self._destination, self._shelf.holds)

    def close(self) -> None:
        """Give up the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.reader.close()

    def _skipping(self, *, thorough: bool) -> Callable[[PageRef], bool]:
        """Passes over leaves only, so that all leaves of a tree are seen; the pages above them are few."""
        leaves = self._now.leaves

        def skip(ref: PageRef) -> bool:
            if ref.level > LEAF:
                return False
            is_known = ref.id in leaves or (ref.id in self._whole[self._owner] and not thorough)
            leaves.add(ref.id)
            self._now.total += ref.chunks if is_known else 0
            return is_known

        return skip

    def _plan(self, need: Need) -> None:
        if (self._owner, need.id) in self._assumed or self._is_there(need):
            return
        place = self._place(need)
        self._portion.setdefault((place.pack, place.indexed_by), {})[need.id] = need
        self._planned += 1
        if self._packing is None:
            self._assumed.add((self._owner, need.id))
            self._now.sent += need.kind is ChunkKind.DATA
            self._now.bytes += place.stored
        elif self._planned >= PORTION:
            self._move()

    def _is_there(self, need: Need) -> bool:
        """Only what this host indexed there itself counts: nobody else can make it leave something out."""
        if self._packing is not None and self._packing.is_on_its_way(need.id, self._owner):
            return True
        mine = self._destination.signer.public
        for place in self._destination.cache.locations(need.id):
            is_mine = place.indexed_by == mine and need.fits(place)
            if (
                is_mine
                and self._shelf.belongs_to(place.pack, self._owner)
                and self._shelf.holds(place.pack, place.pack_size)
            ):
                with self._lock:
                    self._now.packs.add(place.pack)
                return True
        return False

    def _place(self, need: Need) -> Location:
        """Where a chunk is to be taken from. What others than its snapshot's signer indexed serves only where nothing
        else does, or what he indexed was found bad."""
        places = [place for place in self.reader.locations(need.id) if need.fits(place)]
        present = [
            place
            for place in places
            if place.pack not in self._bad and self._here.get(pack_name(place.pack)) == place.pack_size
        ]
        if present:
            return min(present, key=self._doubts)
        for place in places:
            if place.pack in self._bad:
                raise self._bad[place.pack]
        if not places:
            raise DamagedObjectError(f"the index and a page disagree about chunk {need.id.hex()[:16]}")
        name = pack_name(places[0].pack)
        if name in self._here:
            raise DamagedObjectError(f"{name} has {self._here[name]} bytes instead of {places[0].pack_size}").about(
                name
            )
        raise MissingObjectError(f"{name} is missing").about(name)

    def _doubts(self, place: Location) -> tuple[bool, bool, bool]:
        """The fewer the better; last of all counts whether the pack is read anyway."""
        is_read_anyway = (place.pack, place.indexed_by) in self._portion
        return place.pack in self._avoid, place.indexed_by != self._owner, not is_read_anyway

    def _move(self) -> None:
        portion, self._portion, self._planned = self._portion, {}, 0
        if self._packing is None:
            return
        futures = [self._pool.submit(self._move_from, self._packing, *one, needs) for one, needs in portion.items()]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            for future in futures:
                future.cancel()

    def _move_from(self, packing: Packing, sha256: bytes, indexed_by: bytes, needs: Mapping[bytes, Need]) -> None:
        name = pack_name(sha256)
        try:
            pack = self._read(sha256)
            rows = {row.id: row for row in pack.entry.rows}
            for need in needs.values():
                row = rows.get(need.id)
                if row is None or row.kind != need.kind or need.length not in (None, row.length):
                    raise DamagedObjectError(f"{name} does not hold chunk {need.id.hex()[:16]}, as the index says")
        except _BAD_PACK as error:
            with self._lock:
                self._bad[sha256] = error.about(name)
            return
        packing.take(pack, needs, self._added.of(sha256), indexed_by)
        with self._lock:
            self._now.sent += sum(need.kind is ChunkKind.DATA for need in needs.values())

    def _read(self, sha256: bytes) -> WholePack:
        name = pack_name(sha256)
        try:
            data = self._source.storage.get(name)
        except ObjectMissingError as error:
            raise MissingObjectError(f"{name} is missing") from error
        return WholePack.check(data, sha256, self._source.keyring, self._source.document)

    def _stored(self, entry: PackEntry) -> None:
        with self._lock:
            self._now.bytes += entry.size
            self._now.packs.add(entry.sha256)
        self._reporter.advance(self._task, entry.size)


def _doubtful(source: Repository, reporter: Reporter) -> set[bytes]:
    """Packs that are about to go, or were found bad: what lies elsewhere too is read there."""
    try:
        return set(packs_not_to_rely_on(source))
    except RepositoryError as error:
        reporter.warn(error.message)
        return set()

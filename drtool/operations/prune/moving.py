"""Moving what is in use of packs that hold little else: sealed chunks and slots, byte for byte, into new packs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from drtool.errors import DamagedObjectError, ObjectMissingError, RepositoryError
from drtool.operations.prune.survey import Survey
from drtool.repository.index import NOBODY, encode_index, index_name
from drtool.repository.packs import ADDED_SLOT_BYTES, SLOT_ID_BYTES, FinishedPack, PackEntry, SlotKind, pack_name
from drtool.repository.repacking import Repacker, WholePack, slot_kind
from drtool.repository.repository import Repository
from drtool.repository.storing import PACKS_PER_INDEX
from drtool.repository.trust import Role

SLOTS = "slots/"
_PACKS_AT_ONCE = 2


@dataclass(slots=True)
class Moved:
    """What was done: new packs with their sizes, bytes read, the packs that could not be moved from, with
    why, and of the others to which pack each of their chunks went."""

    packs: dict[bytes, int] = field(default_factory=dict)
    read_bytes: int = 0
    failed: dict[bytes, RepositoryError] = field(default_factory=dict)
    to: dict[bytes, dict[bytes, bytes]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(slots=True)
class _Open:
    """A pack being filled, and its chunks with the packs that they come from."""

    repacker: Repacker
    taken: list[tuple[bytes, bytes]] = field(default_factory=list)
    slots: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What goes into one pack: of the same indexers, of one kind of slot, opened later to the same recipients, whose
    keys would pass for complete if they were there for some of the pack's slots."""

    indexers: frozenset[bytes]
    kind: SlotKind
    recipients: frozenset[str]


class Mover:
    """Moves chunks and indexes them where they go, for those who had indexed them where they were.

    `note` is told of each new pack before it is stored. What a directory says counts, not what the index says: a wrong
    entry must not have other bytes taken for a chunk.
    """

    def __init__(self, repository: Repository, survey: Survey, note: Callable[[bytes], None]) -> None:
        self._repository = repository
        self._survey = survey
        self._note = note
        self._open: dict[_Kept, _Open] = {}
        self._unindexed: list[PackEntry] = []
        self._added: dict[str, list[str]] | None = None
        self.moved = Moved()

    def move(self, wanted: Mapping[bytes, Collection[bytes]]) -> Moved:
        """Move these chunks of these packs. When it returns all of them are stored and indexed, but for `Moved.failed`.

        The packs that they came from are as they were.
        """
        for pack, whole in self._read(wanted):
            if whole is not None:
                self._take(pack, whole, frozenset(wanted[pack]))
        for kept in list(self._open):
            self._finish(kept)
        self._index()
        return self.moved

    def _read(self, wanted: Mapping[bytes, Collection[bytes]]) -> Iterator[tuple[bytes, WholePack | None]]:
        repository = self._repository

        def read(pack: bytes) -> tuple[bytes, WholePack | None]:
            try:
                data = repository.storage.get(pack_name(pack))
                whole = WholePack.check(data, pack, repository.keyring, repository.document)
                self._check(pack, whole, wanted[pack])
            except ObjectMissingError as error:
                self.moved.failed[pack] = DamagedObjectError(error.message, hint=error.hint).about(pack_name(pack))
                return pack, None
            except RepositoryError as error:
                self.moved.failed[pack] = error.about(pack_name(pack))
                return pack, None
            return pack, whole

        ordered = sorted(wanted)
        with ThreadPoolExecutor(_PACKS_AT_ONCE, thread_name_prefix="move") as pool:
            for start in range(0, len(ordered), _PACKS_AT_ONCE):
                for pack, whole in pool.map(read, ordered[start : start + _PACKS_AT_ONCE]):
                    self.moved.read_bytes += len(whole.data) if whole is not None else 0
                    yield pack, whole

    def _check(self, pack: bytes, whole: WholePack, wanted: Collection[bytes]) -> None:
        signer = whole.entry.indexed_by
        indexers = self._survey.indexers(pack)
        if indexers and signer not in indexers and not self._repository.document.allows(signer, Role.MAINTAINER):
            raise DamagedObjectError(f"{pack_name(pack)} was indexed by somebody who did not make it")
        if not {row.id for row in whole.entry.rows}.issuperset(wanted):
            raise DamagedObjectError(f"{pack_name(pack)} does not hold all that the index says")

    def _take(self, pack: bytes, whole: WholePack, wanted: frozenset[bytes]) -> None:
        indexers = self._survey.indexers(pack)
        recipients = frozenset(name.split("/")[1] for name in self._added_slots().get(pack.hex(), ()))
        for chunk in whole.chunks(wanted, {}):
            key = _Kept(indexers, slot_kind(chunk), recipients)
            if key in self._open and not self._open[key].repacker.has_room_for(chunk):
                self._finish(key)
            if key not in self._open:
                self._open[key] = _Open(Repacker(self._repository.keyring))
            one = self._open[key]
            one.repacker.add(chunk)
            one.taken.append((pack, chunk.row.id))
            one.slots.add(chunk.slot.id)

    def _finish(self, kept: _Kept) -> None:
        one = self._open.pop(kept)
        signer = self._repository.maintainer
        assert signer is not None
        pack = one.repacker.finish(signer)
        self._note(pack.entry.sha256)
        self._put(pack)
        self._carry_slots(one, pack.entry.sha256)
        self.moved.packs[pack.entry.sha256] = pack.entry.size
        for source, id_ in one.taken:
            self.moved.to[source][id_] = pack.entry.sha256
        self._unindexed += [replace(pack.entry, indexed_by=who) for who in sorted(kept.indexers) or [NOBODY]]
        if len(self._unindexed) >= PACKS_PER_INDEX:
            self._index()

    def _put(self, pack: FinishedPack) -> None:
        sha256 = pack.entry.sha256
        self._repository.storage.put(pack_name(sha256), pack.data, if_absent=True, sha256=sha256)

    def _carry_slots(self, one: _Open, pack: bytes) -> None:
        """Keys that were sealed to a recipient later go along, as they are."""
        by_recipient: dict[str, bytes] = defaultdict(bytes)
        for source in sorted({pack for pack, _ in one.taken}):
            for name in self._added_slots().get(source.hex(), ()):
                data = self._repository.storage.get(name)
                entries = [data[at : at + ADDED_SLOT_BYTES] for at in range(0, len(data), ADDED_SLOT_BYTES)]
                by_recipient[name.split("/")[1]] += b"".join(e for e in entries if e[:SLOT_ID_BYTES] in one.slots)
        for fingerprint, keys in by_recipient.items():
            if keys:
                self._repository.storage.put(f"{SLOTS}{fingerprint}/{pack.hex()}", keys)

    def _added_slots(self) -> dict[str, list[str]]:
        """The names below slots/, by pack (hex)."""
        if self._added is None:
            self._added = defaultdict(list)
            for info in self._repository.storage.list(SLOTS):
                self._added[info.name.rpartition("/")[2]].append(info.name)
        return self._added

    def _index(self) -> None:
        if not self._unindexed:
            return
        repository, signer = self._repository, self._repository.maintainer
        assert signer is not None
        data = encode_index(self._unindexed, repository.keyring, signer, repository.document.repository)
        repository.storage.put(index_name(data), data)
        self._unindexed = []

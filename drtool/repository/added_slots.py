"""Opening old packs to a recipient who was added later: slots/ (docs/format.md, "Added slots")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, ObjectMissingError, WrongKeyError
from drtool.repository.identity import Recipient
from drtool.repository.packs import (
    ADDED_SLOT_BYTES,
    MAGIC,
    Slot,
    SlotKind,
    added_slots_name,
    decode_header,
    encode_added_slots,
)
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import FETCHERS, Repository
from drtool.storage.base import ObjectInfo

#: What is read first of a pack's header (bytes): enough for half a dozen recipients.
_FIRST_LOOK = 8192
#: No pack has more before its first chunk: a pack that claims more is damaged.
_LARGEST_HEADER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one pack: ``opened`` where slots were added; ``problem`` where its keys could not be had."""

    name: str
    opened: bool
    problem: DamagedObjectError | WrongKeyError | None = None


def closed_packs(repository: Repository, recipient: Recipient) -> list[ObjectInfo]:
    """The packs to which nothing was added for `recipient` yet, also those that were written for them."""
    prefix = added_slots_name(recipient, b"")
    there = {info.name for info in repository.storage.list(prefix) if _is_whole(info.size)}
    return [info for info in repository.storage.list("packs/") if prefix + info.name.rpartition("/")[2] not in there]


def open_to(repository: Repository, recipient: Recipient, packs: Iterable[ObjectInfo]) -> Iterator[Done]:
    """Seal the keys of these packs to `recipient`, who could not open them.

    May be stopped and begun again at any time. A pack that cannot be opened is told and left out. Needs an identity
    that reads the packs.
    """
    reader = ChunkReader(repository)
    try:
        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="slots") as pool:
            yield from pool.map(lambda info: _open_one(repository, reader, recipient, info), packs)
    finally:
        reader.close()


def _is_whole(size: int) -> bool:
    return size > 0 and size % ADDED_SLOT_BYTES == 0


def _open_one(repository: Repository, reader: ChunkReader, recipient: Recipient, info: ObjectInfo) -> Done:
    try:
        sha256 = bytes.fromhex(info.name.rpartition("/")[2])
    except ValueError:
        return Done(info.name, opened=False)  # whatever that is, it is no pack
    try:
        slots = _slots(repository, info)
        missing = {
            number: slot
            for number, slot in enumerate(slots)
            if slot.kind is SlotKind.DATA and recipient.fingerprint not in slot.sealed
        }
        if not missing:
            return Done(info.name, opened=False)
        keys = {slot.id: reader.slot_key(slots, number, sha256) for number, slot in missing.items()}
        data = encode_added_slots(keys, repository.keyring.lineage, recipient)
        repository.storage.put(added_slots_name(recipient, sha256), data)
    except ObjectMissingError:
        return Done(info.name, opened=False)  # garbage collection took it meanwhile
    except (DamagedObjectError, WrongKeyError) as error:
        return Done(info.name, opened=False, problem=error.about(info.name))
    return Done(info.name, opened=True)


def _slots(repository: Repository, info: ObjectInfo) -> tuple[Slot, ...]:
    """The pack's slots; of the pack no more is read than they take."""
    limit = min(info.size, _LARGEST_HEADER)
    length = min(_FIRST_LOOK, limit)
    while True:
        data = repository.storage.get(info.name, offset=0, length=length)
        try:
            return decode_header(data, info.name)
        except DamagedObjectError:
            if length == limit or not data.startswith(MAGIC):
                raise
            length = min(length * 8, limit)

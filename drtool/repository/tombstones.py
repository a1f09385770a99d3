"""tombstones/: packs that garbage collection means to delete (docs/format.md, "Cleaning up")."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, DrtoolError
from drtool.repository.ids import new_id
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import utc_now
from drtool.repository.wire import decode_json, encode_json

TOMBSTONES = "tombstones/"
#: So that an object stays well below the largest size that readers take.
MOST_PACKS = 100_000


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Packs that are not to be relied on any more. ``sweep`` is the run that deletes them, or "" while they are only
    marked. ``etag`` is for replacing the object, ``hash`` (hex) what runs call it that keep clear of it."""

    name: str
    packs: frozenset[bytes]
    sweep: str
    etag: str
    hash: str


def put_tombstones(repository: Repository, packs: Collection[bytes]) -> list[Tombstone]:
    """Mark packs. ``Repository.maintainer`` must not be None."""
    ordered = sorted(packs)
    marked = []
    for start in range(0, len(ordered), MOST_PACKS):
        name = TOMBSTONES + new_id()
        some = frozenset(ordered[start : start + MOST_PACKS])
        data = _sealed(repository, name, some, "")
        info = repository.storage.put(name, data, if_absent=True)
        marked.append(Tombstone(name, some, "", info.etag, object_hash(data)))
    return marked


def claim(repository: Repository, tombstone: Tombstone, packs: Collection[bytes], run: str) -> Tombstone:
    """Take over the deletion of `packs` and let go of the others that it names.

    ``PreconditionFailedError`` where somebody else has replaced it.
    """
    some = frozenset(packs)
    data = _sealed(repository, tombstone.name, some, run)
    info = repository.storage.put(tombstone.name, data, if_match=tombstone.etag)
    return Tombstone(tombstone.name, some, run, info.etag, object_hash(data))


def read_tombstones(repository: Repository) -> Iterator[Tombstone]:
    """All of them. One that cannot be read is an error: what it names may be about to go."""
    infos = {info.name: info for info in repository.storage.list(TOMBSTONES)}
    for name, data in repository.fetch(infos.values()):
        if isinstance(data, DrtoolError):
            raise data
        if data is None:
            continue
        fields = decode_json(repository.open_object(Kind.TOMBSTONE, name, data).payload, name)
        try:
            packs = frozenset(bytes.fromhex(pack) for pack in fields["packs"])
            yield Tombstone(name, packs, str(fields.get("sweep") or ""), infos[name].etag, object_hash(data))
        except (KeyError, ValueError, TypeError) as error:
            raise DamagedObjectError(f"{name} lacks something: {error}").about(name) from error


def _sealed(repository: Repository, name: str, packs: frozenset[bytes], sweep: str) -> bytes:
    fields = {
        "format": 1,
        "tombstone": name.removeprefix(TOMBSTONES),
        "packs": sorted(pack.hex() for pack in packs),
        "at": utc_now(),
        "host": socket.gethostname(),
        "sweep": sweep or None,
    }
    return repository.seal(Kind.TOMBSTONE, name, encode_json(fields), repository.maintainer)

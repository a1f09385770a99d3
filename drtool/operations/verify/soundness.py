"""What of a repository belongs to no single snapshot: records, key objects, added slots, and all of the index."""

from __future__ import annotations

from collections.abc import Iterator

from drtool.errors import DamagedObjectError, DrtoolError, RepositoryError, StorageError
from drtool.operations.contents import Problem
from drtool.repository.index import index_name
from drtool.repository.levels import Level
from drtool.repository.packs import ADDED_SLOT_BYTES
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import checked_lines
from drtool.repository.wire import decode_json

#: Records that outlive the run that wrote them. What runs and leases say holds for the moment: they matter to nobody
#: who reads, and garbage collection looks at them itself.
_RECORDS = {"pins/": Kind.PIN, "distrust/": Kind.DISTRUST, "tombstones/": Kind.TOMBSTONE}


class Soundness:
    """Looks at the objects of a repository that verifying snapshots does not: ``objects`` is how many they were."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.objects = 0

    def problems(self, level: Level) -> Iterator[Problem]:
        """What is wrong with them, as far as a level can show it."""
        for prefix, kind in _RECORDS.items():
            yield from self._of_records(prefix, kind)
        yield from self._of_keys()
        yield from self._of_slots()
        if level >= Level.INTACT:
            yield from self._of_index()

    def _objects(self, prefix: str) -> Iterator[tuple[str, bytes | DrtoolError]]:
        for name, data in self._repository.fetch(self._repository.storage.list(prefix)):
            if data is not None:
                self.objects += 1
                yield name, data

    def _of_records(self, prefix: str, kind: Kind) -> Iterator[Problem]:
        for name, data in self._objects(prefix):
            try:
                if isinstance(data, DrtoolError):
                    raise data
                fields = decode_json(self._repository.open_object(kind, name, data).payload, name)
                if fields.get(kind.label, name.removeprefix(prefix)) != name.removeprefix(prefix):
                    raise DamagedObjectError(f"{name} says of itself that it is another")
            except (RepositoryError, StorageError) as error:
                yield Problem.of(error, object_=name)

    def _of_keys(self) -> Iterator[Problem]:
        root = self._repository.document.root
        for name, data in self._objects("keys/"):
            kind = "escrow" if name.endswith(".escrow") else "keys"
            try:
                if isinstance(data, DrtoolError):
                    raise data
                fields = checked_lines(kind, data, root, name)
                if fields.get("repository") != self._repository.id:
                    raise DamagedObjectError(f"{name} belongs to another repository")
                if fields.get("recipient") != name.removeprefix("keys/").removesuffix(".escrow"):
                    raise DamagedObjectError(f"{name} belongs to another recipient than its name says")
            except (RepositoryError, StorageError) as error:
                yield Problem.of(error, object_=name)

    def _of_slots(self) -> Iterator[Problem]:
        """By their sizes: only whom they are for can tell more (level readable)."""
        for info in self._repository.storage.list("slots/"):
            self.objects += 1
            if info.size == 0 or info.size % ADDED_SLOT_BYTES:
                message = f"{info.name} is truncated: it has {info.size} bytes, no multiple of {ADDED_SLOT_BYTES}"
                yield Problem("damaged-object", info.name, "", message)

    def _of_index(self) -> Iterator[Problem]:
        """Whoever has read an index object before would not notice; one that comes new could not find the chunks."""
        for name, data in self._objects("index/"):
            if isinstance(data, DrtoolError):
                yield Problem.of(data, object_=name)
            elif index_name(data) != name:
                message = f"{name} does not have its checksum: it was altered"
                yield Problem("damaged-object", name, "", message)

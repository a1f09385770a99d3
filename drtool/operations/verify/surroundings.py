"""What every snapshot of a repository rests on beside its packs: the recipients' keys, and the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drtool.errors import DrtoolError, MissingObjectError, ObjectMissingError, RepositoryError
from drtool.operations.contents import Problem
from drtool.repository.index import index_name
from drtool.repository.repository import Repository
from drtool.repository.trust import checked_lines, keys_name
from drtool.repository.writer import packs_not_to_rely_on


class Surroundings:
    """Looks at each object once, however many snapshots are verified.

    ``unreliable`` are packs that are distrusted or about to be deleted: what lies elsewhere too is read there.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._problems: list[Problem] = []
        self._index: dict[str, Problem | None] = {}
        self.unreliable: set[bytes] = set()
        try:
            self.unreliable.update(packs_not_to_rely_on(repository))
        except RepositoryError as error:
            self._problems.append(Problem.of(error))
        self._problems += self._look_at_keys()

    def keys(self) -> list[Problem]:
        """What is wrong with the keys that recipients need, without which nobody reads anything."""
        return self._problems

    def index_of(self, packs: Iterable[bytes]) -> Iterator[Problem]:
        """The index objects that these packs are found by and that are not what their names say.

        A host that has read them before would not notice; one that comes new could not find the chunks. What is gone
        since the index was read is missing only if nothing else describes those packs: pruning merges index objects.
        """
        by_pack = {pack: self._repository.cache.objects_with(pack) for pack in packs}
        names = sorted({name for names in by_pack.values() for name in names})
        there = {info.name for info in self._repository.storage.list("index/")}
        for name, data in self._repository.fetch(name for name in names if name in there and name not in self._index):
            if data is None:
                there.discard(name)
            else:
                self._index[name] = _index_problem(name, data)
        for name in names:
            problem = self._index.get(name)
            if problem is not None:
                yield problem
        hit = {pack: gone for pack, names in by_pack.items() if (gone := [n for n in names if n not in there])}
        if hit:
            self._repository.refresh_index()
            left = [pack for pack in hit if self._repository.cache.objects_with(pack)]
            for name in sorted({name for pack in hit.keys() - set(left) for name in hit[pack]}):
                yield Problem("missing-object", name, "", f"{name} is missing")
            yield from self.index_of(left)

    def _look_at_keys(self) -> Iterator[Problem]:
        document = self._repository.document
        for entry in document.recipients:
            name = keys_name(entry.recipient)
            try:
                checked_lines("keys", self._repository.storage.get(name), document.root, name)
            except ObjectMissingError:
                error = MissingObjectError(f"{name}, without which {entry.name} opens nothing, is missing")
                yield Problem.of(error, object_=name)
            except RepositoryError as error:
                yield Problem.of(error, object_=name)


def _index_problem(name: str, data: bytes | DrtoolError) -> Problem | None:
    if isinstance(data, DrtoolError):
        return Problem.of(data, object_=name)
    if index_name(data) != name:
        return Problem("damaged-object", name, "", f"{name} does not have its checksum: it was altered")
    return None

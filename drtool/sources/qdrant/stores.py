"""What the server, local mode and the embedded engine have in common: how they are read, and how written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from typing import Protocol

from drtool.sources.cutting import Record
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import Point, PointId
from drtool.sources.reading import Consistency

#: Under this name lie the marks of restores: never a collection of anybody else's.
MARKER = "drtool-restore"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which collections are meant: names or globs; without `names`, all."""

    names: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str]) -> Selection:
        """These, whatever characters their names have."""
        return cls(tuple(map(escape, names)))

    def takes(self, name: str) -> bool:
        """Is it one of them?"""
        if name == MARKER:
            return False
        wanted = not self.names or any(fnmatchcase(name, pattern) for pattern in self.names)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in self.exclude)

    def missing(self, found: Sequence[str]) -> list[str]:
        """The names that nothing answers to."""
        return [name for name in self.names if not any(fnmatchcase(each, name) for each in found)]


@dataclass(frozen=True, slots=True)
class Standing:
    """How firm the ground is: ``weaker`` are collections whose consistency is weaker than the rest's."""

    consistency: Consistency
    weaker: Mapping[str, Consistency] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """Collections to be read, at one instant where that can be had. Methods may be called from several threads."""

    def standing(self) -> Standing:
        """What was got hold of; asked again after the last record, it tells what was noticed meanwhile."""

    def collections(self) -> Sequence[str]:
        """Their names, sorted."""

    def definition(self, name: str) -> Definition:
        """As it is."""

    def count(self, name: str) -> int:
        """How many points."""

    def sample(self, name: str, count: int) -> Sequence[Point]:
        """The first points, with all they have."""

    def items(self, name: str) -> Iterator[Record]:
        """The records without vectors, in order."""

    def vectors(self, name: str) -> Iterator[Record]:
        """The records of the same points' vectors."""

    def search(self, name: str, vector: str, query: Sequence[float], limit: int) -> Sequence[PointId] | None:
        """The nearest points by one of the vectors, as the index finds them; None where there are no indexes."""

    def close(self) -> None:
        """Give up what is held. Safe to call twice."""


class Writer(Protocol):
    """Collections to be written."""

    @property
    def shown(self) -> str:
        """What an operator calls it."""

    def collections(self) -> Sequence[str]:
        """What is there."""

    def count(self, name: str) -> int | None:
        """How many points; None where another process has the collection open."""

    def marks(self) -> Mapping[str, Sequence[str]]:
        """The collections that restores under way make, by the restore's marker."""

    def keep_marks(self, marks: Mapping[str, Sequence[str]]) -> None:
        """Instead of those that were there; nothing remains of empty ones."""

    def create(self, name: str, definition: Definition) -> None:
        """A collection without indexes, ready to be filled."""

    def upsert(self, name: str, points: Sequence[Point]) -> None:
        """Write points. They are there when it returns."""

    def finish(self, name: str, definition: Definition, progress: Callable[[str], None]) -> None:
        """Make the indexes, the aliases, and the configuration as it was."""

    def drop(self, name: str) -> None:
        """Away with a collection; nothing happens where there is none."""

    def reader(self, names: Sequence[str]) -> Reader:
        """What was written, to be read back. Nothing is written after that."""

    def close(self) -> None:
        """Give up what is held. Safe to call twice."""

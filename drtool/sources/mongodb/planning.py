"""A restore plan in MongoDB's terms: which definition goes where, and what the target must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drtool.errors import SourceError, UsageError
from drtool.sources.mongodb.connection import version_numbers
from drtool.sources.mongodb.definitions import Definition, Kind, view_sources
from drtool.sources.mongodb.names import BUCKETS, LONGEST_NAMESPACE, split
from drtool.sources.restoring import RestoreItem, RestorePlan

#: The first version that knows it, by option or kind.
_SINCE = {
    "timeseries": "5.0",
    "clusteredIndex": "5.3",
    "changeStreamPreAndPostImages": "6.0",
    "encryptedFields": "6.0",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A stream of the plan where it goes: `definition` bears the names of the target."""

    item: RestoreItem
    definition: Definition

    @property
    def database(self) -> str:
        """The target's database."""
        return split(self.item.name)[0]

    @property
    def collection(self) -> str:
        """The name in it."""
        return split(self.item.name)[1]

    @property
    def is_of_accounts(self) -> bool:
        """Users or roles?"""
        return self.definition.kind.is_of_accounts

    @property
    def records_in(self) -> str:
        """The collection that takes the records (a time series' bucket collection)."""
        return (BUCKETS if self.definition.kind is Kind.TIMESERIES else "") + self.collection


def place(plan: RestorePlan) -> list[Placed]:
    """The plan's streams where they go.

    Raises ``UsageError`` for names that the server does not take and for views that would lose what they read.
    """
    names = {item.stream.name: item.name for item in plan.items}
    placed = []
    for item in plan.items:
        longest = len(item.name.encode())
        if longest > LONGEST_NAMESPACE:
            raise UsageError(
                f"{item.name}: {longest} bytes are too long for a name, at most {LONGEST_NAMESPACE} are allowed",
                hint="Choose a shorter one with --rename.",
            )
        definition = Definition.decode(item.stream.definition)
        if definition.kind.is_of_accounts and item.name != item.stream.name:
            raise UsageError(
                f"{item.stream.name} cannot be restored as {item.name}: users and roles keep their database"
            )
        if definition.kind is Kind.VIEW:
            _check_sources(definition, item.name, names)
        placed.append(Placed(item, definition.renamed(names)))
    return placed


def _check_sources(view: Definition, new_name: str, names: dict[str, str]) -> None:
    """A view reads collections of its own database only, so they must go where it goes."""
    database = split(view.name)[0]
    for source in view_sources(view):
        goes_to = names.get(f"{database}.{source}")
        if goes_to is not None and split(goes_to)[0] != split(new_name)[0]:
            raise UsageError(
                f"the view {view.name} would be restored as {new_name}, but {database}.{source}, which it reads, "
                f"as {goes_to}: a view cannot read another database"
            )


def check_version(placed: Sequence[Placed], version: str) -> None:
    """Raises ``SourceError`` where a server of this version is too old for what the plan holds."""
    for each in placed:
        for option, since in _SINCE.items():
            if option in each.definition.options and version_numbers(version) < version_numbers(since):
                raise SourceError(
                    f"{each.item.name} needs MongoDB {since} or newer ({option}); the target is {version}"
                )


def in_order_of_views(placed: Sequence[Placed]) -> list[Placed]:
    """The plan's views, each after those that it reads."""
    waiting = {each.collection: each for each in placed if each.definition.kind is Kind.VIEW}
    ordered: list[Placed] = []

    def take(each: Placed) -> None:
        for source in sorted(view_sources(each.definition)):
            below = waiting.pop(source, None)
            if below is not None:
                take(below)
        ordered.append(each)

    while waiting:
        take(waiting.pop(next(iter(waiting))))
    return ordered

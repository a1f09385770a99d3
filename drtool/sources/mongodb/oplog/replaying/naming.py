"""What collections and views that the log names are called in the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drtool.errors import SourceError
from drtool.sources.mongodb.names import INTERNAL_DATABASES, is_of_accounts, is_of_restores, split
from drtool.sources.restoring import RestorePlan


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A renaming: ``db.x`` becomes ``database.<head>x<tail>``."""

    database: str
    head: str
    tail: str

    def apply(self, collection: str) -> str:
        return f"{self.database}.{self.head}{collection}{self.tail}"


class Naming:
    """Names by the plan: its own items', else `RestorePlan.name_of`, else, for databases that it has items of,
    `RestorePlan.default_name`, or the way in which all items of the same database were renamed."""

    def __init__(self, plan: RestorePlan) -> None:
        self._items = {
            item.stream.name: item.name
            for item in plan.items
            if not is_of_accounts(item.stream.name) and not is_of_restores(item.name)
        }
        self._name_of: Callable[[str], str | None] | None = plan.name_of
        self._default_name: Callable[[str], str] | None = plan.default_name
        self._patterns: dict[str, list[_Pattern]] = {}
        for source, name in self._items.items():
            found = self._patterns.setdefault(split(source)[0], [])
            found[:] = _common(found, list(_patterns(source, name))) if found else list(_patterns(source, name))

    def concerns(self, namespace: str) -> bool:
        """Is it of a database of the plan, or wanted by name?"""
        return split(namespace)[0] in self._patterns or self.of(namespace) is not None

    def of(self, namespace: str) -> str | None:
        """The name of what came to be called so in the source; None for what is not restored.

        ``SourceError`` where the plan does not imply one.
        """
        if not _is_of_applications(namespace):
            return None
        if namespace in self._items:
            return self._items[namespace]
        if self._name_of is not None:
            return self._name_of(namespace)
        return self._implied(namespace) if split(namespace)[0] in self._patterns else None

    def beside(self, namespace: str) -> str | None:
        """As its neighbours are renamed, whether or not the plan wants it; None where that is not to be told."""
        database, collection = split(namespace)
        found = self._patterns.get(database)
        return found[0].apply(collection) if found else None

    def may_get_another(self, namespace: str) -> bool:
        """Could a collection of this name, which is not restored, be renamed to one that is?"""
        return _is_of_applications(namespace) and not split(namespace)[1].startswith("system.")

    def _implied(self, namespace: str) -> str:
        name = self._default_name(namespace) if self._default_name is not None else self.beside(namespace)
        if name is None:
            raise SourceError(
                f"{namespace} was created after the snapshot, or got its name then, and it cannot be told what to call"
                " it in the target",
                hint=f"Say what to call it: --rename {namespace}=NEW.",
            )
        return name

    def database_of(self, database: str) -> str | None:
        """A database of the target that takes collections of this one; None where the plan has none."""
        return next((split(name)[0] for source, name in self._items.items() if split(source)[0] == database), None)


def _is_of_applications(namespace: str) -> bool:
    database, collection = split(namespace)
    if database in INTERNAL_DATABASES or is_of_restores(namespace) or collection.startswith("$"):
        return False
    return not collection.startswith("system.") or collection == "system.js"


def _patterns(source: str, name: str) -> Iterator[_Pattern]:
    """The renamings that explain one name, the likeliest first."""
    collection, (database, new) = split(source)[1], split(name)
    at = new.find(collection)
    while at >= 0:
        yield _Pattern(database, new[:at], new[at + len(collection) :])
        at = new.find(collection, at + 1)


def _common(some: list[_Pattern], others: list[_Pattern]) -> list[_Pattern]:
    return [pattern for pattern in some if pattern in others]

"""A restore's plan, database by database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drtool.errors import UsageError
from drtool.sources.postgres import definitions, names
from drtool.sources.postgres.definitions import DatabaseDefinition
from drtool.sources.restoring import RestoreItem, RestorePlan


@dataclass(slots=True)
class Placed:
    """One database of a plan: its name in the target and in the snapshot, its definition, the streams that go there."""

    database: str
    original: str
    definition: DatabaseDefinition
    items: list[RestoreItem] = field(default_factory=list)

    @property
    def tables(self) -> list[RestoreItem]:
        """Tables with rows."""
        return [item for item in self.items if item.stream.kind == definitions.TABLE]

    @property
    def left_out(self) -> list[str]:
        """What the snapshot holds of it, and the plan does not."""
        planned = {names.split(item.stream.name)[1] for item in self.items}
        return [name for name in self.definition.tables if name not in planned]


def place(plan: RestorePlan) -> list[Placed]:
    """The databases of a plan. ``UsageError`` where a table comes without the definitions of its database."""
    found: dict[str, Placed] = {}
    for item in plan.items:
        if item.stream.kind == definitions.DEFINITIONS:
            database = names.split(item.name)[0]
            original = names.split(item.stream.name)[0]
            found[database] = Placed(database, original, DatabaseDefinition.decode(item.stream.definition))
    for item in plan.items:
        database = names.split(item.name)[0]
        if item.stream.kind == definitions.ROLES:
            continue
        if database not in found or found[database].original != names.split(item.stream.name)[0]:
            raise UsageError(
                f"{item.stream.name} cannot be restored as {item.name} without the definitions of its database",
                hint="Rename the whole database: --rename OLD=NEW",
            )
        found[database].items.append(item)
    return list(found.values())


def roles_item(plan: RestorePlan) -> RestoreItem | None:
    """The server's roles, where the plan has them."""
    return next((item for item in plan.items if item.stream.kind == definitions.ROLES), None)


def why_partial(placed: Placed) -> Sequence[str]:
    """What to know of a database of which not all is restored."""
    missing = placed.left_out
    if not missing:
        return ()
    shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return (
        f"{placed.database}: all definitions are restored, but not the rows of {shown}; foreign keys are left out,"
        " and materialised views are computed from what is there",
    )

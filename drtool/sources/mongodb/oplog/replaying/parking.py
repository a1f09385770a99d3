"""Where collections wait in the target that are not restored under the name they have, but under one that they may get.

The server makes many a collection under a passing name (`$out`, imports) and renames it when it is complete. Which of
them matter is known only when the log was read: a rehearsal finds them, a replay without one keeps all that might.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from drtool.sources.mongodb.definitions import Definition
from drtool.sources.mongodb.names import parked, split
from drtool.sources.mongodb.oplog.replaying.naming import Naming
from drtool.sources.mongodb.oplog.replaying.state import Tracked


class Parking(Protocol):
    """Says where they wait."""

    def place(self, definition: Definition) -> str | None:
        """The name of one in the target until it gets another; None for one that is not to be kept."""

    def left(self, tracked: Tracked, name: str) -> None:
        """It is about to get `name`."""


class All(Parking):
    """Keeps everything in databases that the plan restores something of."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming

    def place(self, definition: Definition) -> str | None:
        """Beside its neighbours."""
        database = self._naming.database_of(split(definition.name)[0])
        return None if database is None else parked(database, identity(definition))

    def left(self, tracked: Tracked, name: str) -> None:
        """Nothing."""


class Known(Parking):
    """Keeps what a rehearsal found, where it says."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def place(self, definition: Definition) -> str | None:
        """See ``Rehearsed.parked``."""
        return self._names.get(identity(definition))

    def left(self, tracked: Tracked, name: str) -> None:
        """Nothing."""


class Finding(Parking):
    """Finds them, in a rehearsal: ``names`` as in ``Rehearsed.parked``."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def place(self, definition: Definition) -> str | None:
        """A name that nothing else has; the database is not known yet."""
        return parked(".", identity(definition))

    def left(self, tracked: Tracked, name: str) -> None:
        """It is to wait in the database that it goes to."""
        self.names[identity(tracked.definition)] = parked(split(name)[0], identity(tracked.definition))


def identity(definition: Definition) -> str:
    """What tells a collection from others of the source; of an old log its first name."""
    return definition.uuid or definition.name

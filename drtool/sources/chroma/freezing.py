"""Fixing an instant: a copy of an embedded Chroma's directory, or whatever a server says from now on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drtool.errors import SourceError
from drtool.sources.chroma import copying, names, sqlite
from drtool.sources.chroma.address import Address
from drtool.sources.chroma.engine import Engine, Found, opened
from drtool.sources.chroma.ids import Ids
from drtool.sources.chroma.names import DEFAULT_TENANT, Namespace
from drtool.sources.chroma.reading import Collection
from drtool.sources.chroma.view import ChromaView
from drtool.sources.reading import Consistency
from drtool.sources.throwaway import throwaway

#: Of how many collections recall is measured: the largest ones. A manifest holds the results, and is limited.
_MEASURED = 100
_PREFIX = "drtool-chroma-"

FUZZY = (
    "A Chroma server cannot be read at one instant, so the backup is fuzzy: an item that is updated meanwhile is there"
    " as it was or as it is. Stop writing to it while it is backed up, or back up its directory (path) instead."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is backed up: `tenants` (none: the default one of a server, all of a directory), `databases` (none: all),
    less what fits `exclude` and what restores left unfinished."""

    tenants: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def on_server(self, engine: Engine) -> list[Namespace]:
        """The databases of a server."""
        tenants = self.tenants or (DEFAULT_TENANT,)
        return self._chosen([Namespace(tenant, name) for tenant in tenants for name in engine.databases(tenant)])

    def in_directory(self, directory: Path) -> list[Namespace]:
        """The databases of an embedded one."""
        found = sqlite.namespaces(directory)
        return self._chosen([one for one in found if not self.tenants or one.tenant in self.tenants])

    def _chosen(self, found: Iterable[Namespace]) -> list[Namespace]:
        chosen = [one for one in found if not self.databases or one.database in self.databases]
        for one in chosen:
            if "/" in one.tenant or "/" in one.database:
                raise SourceError(f"{one} has a slash in a name, which drtool takes for the end of it")
        return chosen

    def collections(self, engine: Engine, places: Iterable[Namespace]) -> list[Found]:
        """The collections of these databases."""
        return [one for place in places for one in engine.collections(place) if not self._excluded(one)]

    def missing(self, places: Iterable[Namespace]) -> list[str]:
        """What the configuration names, and is not there, as sentences."""
        there = list(places)
        absent = [("tenant", name) for name in self.tenants if all(one.tenant != name for one in there)]
        absent += [("database", name) for name in self.databases if all(one.database != name for one in there)]
        return [f"The configuration names the {kind} {name}, which does not exist." for kind, name in absent]

    def _excluded(self, one: Found) -> bool:
        stream = one.place.stream(one.name)
        return names.is_ours(one.name) or any(names.matches(stream, pattern) for pattern in self.exclude)


def freeze(address: Address, selection: Selection) -> ChromaView:
    """A view of a server or of a live directory."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(throwaway(Path(tempfile.gettempdir()), _PREFIX))
        if address.directory is None:
            engine = stack.enter_context(opened(address))
            instant = datetime.now(UTC)
            found = selection.collections(engine, selection.on_server(engine))
            return _view(engine, found, home, instant, stack, moving=True)
        private = home / "copy"
        private.mkdir()
        instant = copying.copy(address.directory, private)
        engine = stack.enter_context(opened(Address(directory=private, copy_of=address.directory)))
        found = selection.collections(engine, selection.in_directory(private))
        return _view(engine, found, home, instant, stack, directory=private)


def of_target(engine: Engine, found: Sequence[Found], original: dict[str, str], directory: Path | None) -> ChromaView:
    """A view of what was restored, which nobody else writes to. `original` are the original names by those here."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(throwaway(Path(tempfile.gettempdir()), _PREFIX))
        return _view(engine, found, home, datetime.now(UTC), stack, directory=directory, original=original)


def _view(
    engine: Engine,
    found: Sequence[Found],
    home: Path,
    instant: datetime,
    stack: contextlib.ExitStack,
    *,
    moving: bool = False,
    directory: Path | None = None,
    original: dict[str, str] | None = None,
) -> ChromaView:
    """A view that takes over `stack`."""

    def collection(one: Found, *, measured: bool) -> Collection:
        def list_ids(path: Path) -> Ids:
            if directory is None:
                return Ids(path, sorted(engine.ids(one)))
            return Ids(path, sqlite.sorted_ids(directory, one.id))

        return Collection(engine, one, home, list_ids, moving=moving, measured=measured)

    largest = {one.id for one in sorted(found, key=lambda one: -engine.count(one))[:_MEASURED]}
    held = {}
    for one in found:
        name = one.place.stream(one.name)
        made = collection(one, measured=one.id in largest)
        made.name = (original or {}).get(name, name)
        held[made.name] = made
    consistency = Consistency.FUZZY if moving else Consistency.EXACT
    return ChromaView(held, instant, consistency, stack.pop_all())

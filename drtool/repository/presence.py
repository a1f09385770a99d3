"""Who is writing or reading just now, as runs/ tells garbage collection (docs/format.md, "Cleaning up")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.errors import DamagedObjectError, DrtoolError, TamperedError, WrongKeyError
from drtool.repository.repository import Repository
from drtool.repository.runs import RUNS
from drtool.repository.sealed import Kind
from drtool.repository.wire import decode_json

#: A run that did not renew itself for so long, by the store's own clock, is dead: it gives up by itself well before.
DEAD_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Registered:
    """A run that may be alive. ``renewed`` is the store's time of its last renewal, ``started`` its own host's;
    ``seen`` are the hashes (hex) of tombstones that it keeps clear of."""

    name: str
    kind: str
    job: str
    host: str
    started: str
    renewed: datetime
    seen: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """The run's id."""
        return self.name.removeprefix(RUNS)

    def holds_up(self, tombstones: Iterable[str]) -> bool:
        """May it rely on packs of one of these tombstones (hashes of the objects)?"""
        return not self.seen.issuperset(tombstones)


def alive(repository: Repository) -> list[Registered]:
    """The runs that were not ended, and renewed in the last 24 hours; oldest first.

    A record that cannot be read is taken for a run: it may be damaged on purpose. One whose signer may sign no runs,
    or was revoked, counts for nothing.
    """
    now = repository.storage.now()  # before the list: what is renewed later is younger than it seems
    infos = {i.name: i for i in repository.storage.list(RUNS) if now - i.modified < DEAD_AFTER}
    found = []
    for name, data in repository.fetch(infos.values()):
        if data is None:
            continue
        renewed = infos[name].modified
        try:
            if isinstance(data, DrtoolError):
                raise data
            fields = decode_json(repository.open_object(Kind.RUN, name, data).payload, name)
        except TamperedError:
            continue
        except (DamagedObjectError, WrongKeyError):
            found.append(Registered(name, "unknown", "", "", "", renewed))
            continue
        if fields.get("state", "running") == "running":
            kind, job, host, started = (str(fields.get(field, "")) for field in ("kind", "job", "host", "started"))
            found.append(Registered(name, kind, job, host, started, renewed, _seen(fields.get("seen"))))
    return found


def _seen(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()

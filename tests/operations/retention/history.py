"""A repository with a job of eight days, for tests that remove something of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from drtool.config.jobs import Job
from drtool.operations.catalogue import read_known
from drtool.operations.reporting import Silent
from drtool.operations.retention.applying import Applied, apply
from drtool.operations.retention.planning import Obstacle, Plan, make_plan
from drtool.repository.chain import Snapshot
from drtool.repository.evidence import record
from drtool.repository.ids import new_id
from drtool.repository.levels import Level
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from tests.repository.builders import Made, commit
from tests.repository.victims import evidence_of

DAYS = 8


@dataclass(frozen=True)
class History:
    """A repository, and its snapshots, oldest first: one a day, the last an hour ago."""

    made: Made
    snapshots: tuple[Snapshot, ...]
    stack: ExitStack = field(default_factory=ExitStack)

    def opened(self, host: str = "maintenance") -> Repository:
        """Opened by a host of this name, with the identity."""
        repository = self.made.as_both(host)
        self.stack.callback(repository.close)
        return repository

    def plan(self, rules: Any, *, host: str = "maintenance", despite: Collection[Obstacle] = (), **job: Any) -> Plan:
        """The plan of these rules."""
        return make_plan(self.opened(host), _jobs(rules, job), None, despite)

    def apply(
        self, rules: Any, *, host: str = "maintenance", job: Mapping[str, Any] | None = None, **more: Any
    ) -> Applied:
        """Remove what these rules do not keep."""
        return apply(self.opened(host), _jobs(rules, job or {}), Silent(), **more)

    def take(self, taken: datetime, **fields: Any) -> Snapshot:
        """A further snapshot."""
        return take(self.opened("host1"), taken, **fields)

    def left(self) -> list[str]:
        """The ids of the snapshots that a host sees which has seen all of them; nothing may be wrong."""
        known = read_known(self.opened("host1"))
        assert known.problems == ()
        return [one.id for one in known.catalogue.snapshots]

    def ids(self, *numbers: int) -> list[str]:
        """The ids of the snapshots with these numbers, from 1."""
        return [self.snapshots[number - 1].id for number in numbers]

    def names(self, prefix: str) -> list[str]:
        """The names of objects in the store."""
        return [info.name for info in self.made.storage.list(prefix)]


def begin(made: Made, days: int = DAYS) -> History:
    """So many snapshots, and evidence: of the third that it was restored (by the owner), and lower levels of some (by
    the agent)."""
    with ExitStack() as stack:
        agent, owner = made.as_agent(), made.as_owner()
        stack.callback(agent.close)
        stack.callback(owner.close)
        last = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        snapshots = tuple(take(agent, last - timedelta(days=days - number)) for number in range(1, days + 1))
        for number, level in ((1, Level.INTACT), (3, Level.INTACT), (4, Level.LISTED), (8, Level.INTACT)):
            if number <= days:
                _record(agent, snapshots[number - 1], level, agent.signer)
        for level in (Level.READABLE, Level.RESTORED):
            _record(owner, snapshots[2], level, owner.signer)
    return History(made, snapshots)


def take(repository: Repository, taken: datetime, **fields: Any) -> Snapshot:
    """Commit a snapshot as if at this time."""
    moment = taken.isoformat()
    return commit(repository, **{"snapshot": new_id(taken), "created": moment, "instant": moment, **fields})


def _record(repository: Repository, snapshot: Snapshot, level: Level, signer: SigningKey) -> None:
    record(repository, evidence_of(snapshot.hash, level), signer)


def _jobs(rules: Any, more: Mapping[str, Any]) -> dict[str, Job]:
    return {"nightly": Job.model_validate({"sources": ["app"], "retention": rules, **more})}

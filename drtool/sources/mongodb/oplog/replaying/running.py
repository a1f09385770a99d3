"""Driving a replay: every operation to where it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import bson

from drtool.errors import SourceError
from drtool.sources.base import Replayed, RestorePlan, Stop
from drtool.sources.mongodb.connection import Client, Deployment, Document
from drtool.sources.mongodb.keys import bound
from drtool.sources.mongodb.names import split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying import views
from drtool.sources.mongodb.oplog.replaying.commands import Commands, Hands
from drtool.sources.mongodb.oplog.replaying.naming import Naming
from drtool.sources.mongodb.oplog.replaying.state import State, Tracked
from drtool.sources.mongodb.oplog.replaying.window import Step, Steps, Window
from drtool.sources.mongodb.oplog.replaying.writing import Writer

_ON_RECORDS = frozenset("iud")
#: No-ops, and what is written about indexes only.
_IDLE = frozenset({"n", "cd", "ci", "cu", "km", "db"})
_VERSION = "admin.system.version"
_COMPATIBILITY = "featureCompatibilityVersion"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, the plan that is to be finished now, and the databases that bear the marker."""

    replayed: Replayed
    plan: RestorePlan
    databases: frozenset[str]


def replay(
    client: Client,
    deployment: Deployment,
    plan: RestorePlan,
    since: Mapping[str, Any],
    entries: Iterable[bytes],
    stop: Stop | None,
) -> Outcome:
    """See ``MongoTarget.replay``.


    Where `entries` can be had twice, they are looked through first: what cannot be done again is an error before
    anything is written.
    """
    window = Window.of(since, stop)
    if not isinstance(entries, Iterator):
        _Replay(plan, _Rehearsal()).run(Steps(window).of(entries))
    with Writer(client, deployment, plan) as writer:
        real, steps = _Replay(plan, writer), Steps(window)
        real.run(steps.of(entries))
        real.drop_staged()
        writer.flush()
    position = [steps.position.time, steps.position.inc]
    replayed = Replayed(real.done, position, real.skipped)
    return Outcome(replayed, real.state.plan(plan), frozenset(writer.databases))


class _Hands(Hands, Protocol):
    """What a replay is done with."""

    def write(self, tracked: Tracked, operation: Operation, *, overlaid: bool) -> None:
        """An insert, update or delete."""


class _Replay:
    """One pass over the log. ``done`` and ``skipped`` count operations."""

    def __init__(self, plan: RestorePlan, hands: _Hands) -> None:
        self.done = self.skipped = 0
        self.state = State(plan)
        self._naming, self._hands = Naming(plan), hands
        self._commands = Commands(self.state, self._naming, hands)

    def run(self, steps: Iterable[Step]) -> None:
        """Follow the log. ``SourceError`` for what cannot be done again."""
        find, write = self.state.find, self._hands.write
        for step in steps:
            for operation in step.operations:
                if operation.op in _ON_RECORDS:
                    tracked = find(operation)
                    if tracked is not None:
                        write(tracked, operation, overlaid=step.overlaid)
                        self.done += 1
                    else:
                        self._elsewhere(operation, overlaid=step.overlaid)
                elif operation.op not in _IDLE:
                    self._other(operation, overlaid=step.overlaid)

    def drop_staged(self) -> None:
        """What might have been renamed to something that is restored, and was not."""
        for tracked in [each for each in self.state.collections() if each.staged]:
            self._hands.drop(tracked)
            self.state.remove(tracked)

    def _elsewhere(self, operation: Operation, *, overlaid: bool) -> None:
        """An operation on something other than the records that are restored."""
        database, collection = split(operation.ns)
        if operation.ns == _VERSION and _identity(operation) == _COMPATIBILITY:
            raise SourceError(
                "the featureCompatibilityVersion of the source was changed, which cannot be done again",
                hint="Restore to a time before it, or from a snapshot taken after it.",
            )
        if collection.startswith("system.resharding.") and self._naming.concerns(operation.ns):
            raise SourceError(f"a collection of {database} was resharded, which cannot be done again")
        if collection != views.COLLECTION or overlaid:
            self.skipped += 1
            return
        made = views.follow(self.state, self._naming, operation)
        if made is not None:
            self._commands.make_room(made.name, made.source)
            self.state.views[made.source] = made
        self.done += 1

    def _other(self, operation: Operation, *, overlaid: bool) -> None:
        if operation.op != "c":
            if self._naming.concerns(operation.ns):
                raise SourceError(
                    f"the oplog holds an operation on {operation.ns} of the unknown kind {operation.op!r}",
                    hint="Use a newer version of drtool, or restore to a time before it.",
                )
            self.skipped += 1
        elif not overlaid and self._commands.do(operation):
            self.done += 1
        # Under an overlay the catalogue is the one of its end: what commands did is in it.


def _identity(operation: Operation) -> object:
    key = operation.key
    return bson.decode(bound(key))["_id"] if key else None


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    """Hands that touch nothing."""

    def write(self, tracked: Tracked, operation: Operation, *, overlaid: bool) -> None:
        """Nothing."""

    def make_room(self, name: str) -> None:
        """Nothing."""

    def create(self, tracked: Tracked) -> None:
        """Nothing."""

    def drop(self, tracked: Tracked) -> None:
        """Nothing."""

    def rename(self, tracked: Tracked, name: str) -> None:
        """Nothing."""

    def modify(self, tracked: Tracked, options: Document) -> None:
        """Nothing."""

"""Driving a replay: every operation to where it belongs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import bson
from pymongo.errors import PyMongoError

from drtool.errors import OplogTruncatedError, SourceError
from drtool.sources.mongodb.connection import Client, Deployment, Document
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.keys import bound
from drtool.sources.mongodb.names import split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.reading import shown
from drtool.sources.mongodb.oplog.replaying import views
from drtool.sources.mongodb.oplog.replaying.commands import HINT, Commands, Hands, is_of_resharding, resharded
from drtool.sources.mongodb.oplog.replaying.counting import count
from drtool.sources.mongodb.oplog.replaying.naming import Naming
from drtool.sources.mongodb.oplog.replaying.parking import All, Finding, Known, Parking
from drtool.sources.mongodb.oplog.replaying.state import State, Tracked
from drtool.sources.mongodb.oplog.replaying.window import Step, Steps, Window
from drtool.sources.mongodb.oplog.replaying.writing import Writer
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Rehearsed, Replayed, RestorePlan, Stop, There

_ON_RECORDS = frozenset("iud")
#: No-ops, and what is written about indexes only.
_IDLE = frozenset({"n", "cd", "ci", "cu", "km", "db"})
_RENAMABLE = (Kind.COLLECTION, Kind.CLUSTERED, Kind.CAPPED)
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
    """See ``MongoTarget.replay``."""
    steps = Steps(Window.of(since, stop))
    naming = Naming(plan)
    parking = All(naming) if plan.rehearsed is None else Known(plan.rehearsed.parked)
    with Writer(client, deployment, plan) as writer:
        real = _Replay(plan, naming, writer, parking)
        try:
            real.run(steps.of(entries))
            real.drop_staged()
            writer.flush()
        except BaseException:
            with contextlib.suppress(PyMongoError):  # what is told is why the replay ended
                writer.clear_away(real.staged())
            raise
    position = [steps.position.time, steps.position.inc]
    left = real.state.plan(plan)
    there = tuple(There(item, count(client, item)) for item in left.items)
    return Outcome(Replayed(real.done, position, real.skipped, there), left, frozenset(writer.databases))


def rehearse(
    plan: RestorePlan,
    since: Mapping[str, Any],
    entries: Iterable[bytes],
    stop: Stop | None,
    others: Sequence[StreamInfo],
) -> Rehearsed:
    """See ``MongoTarget.rehearse``."""
    steps, finding = Steps(Window.of(since, stop)), Finding()
    # Of whole databases all is restored: nothing there waits for a name, and none comes from elsewhere.
    parking = Known({}) if plan.name_of is None else finding
    rehearsal = _Replay(plan, Naming(plan), _Rehearsal(), parking)
    for stream in others:
        rehearsal.look_out_for(Definition.decode(stream.definition))
    try:
        rehearsal.run(steps.of(entries))
    except OplogTruncatedError:
        raise
    except SourceError as error:
        raise SourceError(f"{error.message}: the oplog entry at {shown(steps.position)}", hint=error.hint) from error
    return Rehearsed(rehearsal.state.made(plan), finding.names)


class _Hands(Hands, Protocol):
    """What a replay is done with."""

    def write(self, tracked: Tracked, operation: Operation, *, overlaid: bool) -> None:
        """An insert, update or delete."""


class _Replay:
    """One pass over the log. ``done`` and ``skipped`` count operations."""

    def __init__(self, plan: RestorePlan, naming: Naming, hands: _Hands, parking: Parking) -> None:
        self.done = self.skipped = 0
        self.state = State(plan)
        self._naming, self._hands, self._parking = naming, hands, parking
        self._commands = Commands(self.state, self._naming, hands, parking)

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

    def look_out_for(self, definition: Definition) -> None:
        """A collection that is not restored, unless it is renamed to what is."""
        name = self._parking.place(definition)
        if name is not None and definition.kind in _RENAMABLE:
            tracked = Tracked.of(definition, name)
            tracked.staged = True
            self.state.add(tracked, bytes.fromhex(definition.uuid))

    def staged(self) -> list[Tracked]:
        """What might have been renamed to something that is restored, and was not."""
        return [each for each in self.state.collections() if each.staged]

    def drop_staged(self) -> None:
        """Done with those."""
        for tracked in self.staged():
            self._hands.drop(tracked)
            self.state.remove(tracked)

    def _elsewhere(self, operation: Operation, *, overlaid: bool) -> None:
        """An operation on something other than the records that are restored."""
        if operation.ns == _VERSION and _identity(operation) == _COMPATIBILITY:
            raise SourceError(
                "the featureCompatibilityVersion of the source was changed, which cannot be done again", hint=HINT
            )
        if is_of_resharding(operation.ns) and self._naming.concerns(operation.ns):
            raise resharded(operation.ns)
        if split(operation.ns)[1] != views.COLLECTION or overlaid:
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

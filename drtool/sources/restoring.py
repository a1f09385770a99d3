"""The contract of restoring: what goes where, and the target that takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from drtool.sources.reading import Consistency, StreamInfo, View


@dataclass(frozen=True, slots=True)
class RestoreItem:
    """One stream to be restored, and the name it gets in the target.

    ``records`` and ``bytes`` are what the manifest says; ``consistency`` is the snapshot's word on this stream.
    """

    stream: StreamInfo
    name: str
    records: int
    bytes: int
    consistency: Consistency = Consistency.EXACT


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a replay is going to make of a plan.

    ``made``: the streams that are there at the end under a name that none of the plan's had, because the log made or
    renamed them, by that name, with those in the target. ``parked``: those that get a name that is restored only after
    they were made, by identity, with the names under which they wait for it in the target; those of the snapshot are to
    be loaded there.
    """

    made: Mapping[str, str] = field(default_factory=dict)
    parked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What goes where.

    ``marker`` identifies this restore, so that a target can tell its own remains from others'. ``replace`` allows it to
    drop what bears a name of the plan. ``name_of`` says for a replay what a stream is to be called that the log makes
    or renames (by its name in the source); None from it: it is not restored. Without it, new streams of the plan's
    databases come back, too, as ``default_name`` calls them, or else renamed like their neighbours. ``rehearsed`` is
    what `Target.rehearse` found; without it, whatever might get a name that is restored is replayed.
    """

    items: tuple[RestoreItem, ...]
    marker: str
    replace: bool = False
    name_of: Callable[[str], str | None] | None = None
    default_name: Callable[[str], str] | None = None
    rehearsed: Rehearsed | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a target holds where the plan would write.

    ``occupied`` are sentences such as ``app.users: 1,204 documents``; empty means that nothing is in the way. Each
    begins with the plan's name that it is about, and a colon.
    ``notes`` are things to know before one starts (records that will expire at once, say). ``hint`` says what can be
    done about what is in the way. ``lasting`` are those of `occupied` that not even a plan with ``replace`` replaces:
    among them whatever of a stream the source, as it is configured, does not read, so that no safety snapshot would
    hold it. ``swept`` are patterns (`Source.matches`) of all that goes with what such a plan replaces, its own streams
    or not.
    """

    target: str
    occupied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hint: str = ""
    lasting: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a replay ends: after the last operation at or before `position`, or, with `before`, ahead of it.

    `position` is a place in the source's log in its own terms, as JSON values ([seconds, increment]).
    """

    position: Any
    before: bool = False


@dataclass(frozen=True, slots=True)
class There:
    """A stream that is in the target after a replay: ``item`` as it is to be completed, with the name that the source
    gave it last, and how many records it has."""

    item: RestoreItem
    records: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What `Target.replay` did: how many operations, and the position in the log that the target stands at.

    ``skipped`` are operations on what the plan does not restore. ``there`` is everything that came of the plan, less
    what was dropped; of users and roles, which wait for `Target.finish`, as many as the plan says.
    """

    operations: int
    position: Any
    skipped: int = 0
    there: tuple[There, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `Target.load` wrote of one stream."""

    records: int
    bytes: int


class Target(Protocol):
    """Where a restore writes. `load` may be called from several threads, for different streams or
    different parts of one keyed stream."""

    def inspect(self, plan: RestorePlan) -> Inspection:
        """Look, write nothing. Raises where the target cannot take the plan at all (version, permissions)."""

    def begin(self, plan: RestorePlan) -> None:
        """Leave the restore marker and create what holds the records (options and all, no indexes, no expiry).

        Whatever `inspect` would call occupied is a ``TargetNotEmptyError``, unless the plan allows to replace it.
        """

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """Write records. Raises ``IncompleteRestoreError``, naming the record, where one could not be written."""

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """`load` for a stream with those that complete it (``StreamInfo.beside``), all of them whole and in order; by
        one thread. Returns what was written of `item`, then of each in `beside`."""

    def rehearse(
        self,
        plan: RestorePlan,
        since: Mapping[str, Any],
        entries: Iterable[bytes],
        stop: Stop | None,
        others: Sequence[StreamInfo] = (),
    ) -> Rehearsed:
        """Look through what `replay` would be given, before anything is written.

        `others` are streams of the snapshot that the plan does not restore, unless the log gives them a name that it
        does. Raises what `replay` would for entries that cannot be done again, with their place, and
        ``AuthenticationError`` where the account may not replay.
        """

    def replay(
        self, plan: RestorePlan, since: Mapping[str, Any], entries: Iterable[bytes], stop: Stop | None
    ) -> Replayed:
        """Do again what happened after the instant that the loaded records belong to (`since`, a `View.point`).

        `entries` are chunks of the source's log from ``since`` or before, without a gap; names are the plan's. After
        all `load`, before `finish`, which completes what the replay left (what it created, renamed and dropped, too).
        """

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """What comes after all records: views, indexes, expiry; the marker goes last. `progress` takes a sentence.

        Returns by name how many records of a stream (users and roles) had been there before, the same as restored.
        """

    def read_back(self, plan: RestorePlan) -> View:
        """The restored streams, under their *original* names, for comparison with the snapshot."""

    def digests(self, plan: RestorePlan) -> Mapping[str, str]:
        """The target system's own digest of each stream's records by original name, where it has one (``dbHash``)."""

    def close(self) -> None:
        """Release connections."""


class StreamDigest(Protocol):
    """The running counterpart of `Target.digests`: fed every record of a stream in order."""

    def update(self, data: bytes, /) -> None:
        """Take the next whole records."""

    def hexdigest(self) -> str:
        """The digest so far."""

"""The contract between a source and the rest of drtool.

A source never sees the repository; it yields and takes chunks of whole records. What passes
between them is plain picklable data. One contract suite (``tests/sources/contract.py``) runs
against every source with a real server behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from drtool.sources.cutting import Chunk, CutRule, Record
from drtool.sources.log import Log

MISSING: Final = object()
"""What `Source.values` gives for a record without the field."""


class Consistency(StrEnum):
    """How what was read relates to one instant; from strongest to weakest."""

    EXACT = "exact"
    OVERLAY = "overlay"
    FUZZY = "fuzzy"


class Proof(StrEnum):
    """How a restored stream is compared; from strongest to weakest (DESIGN.md 5)."""

    IDENTICAL = "identical"
    CANONICAL = "canonical"
    TOLERANT = "tolerant"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a source says of itself before anything is read.

    ``identity`` distinguishes this system from a namesake (a replica set's id, say); empty if
    it has none. ``topology`` is the source's own word (``replica-set``, ``standalone``, ``sharded``).
    ``warnings`` are sentences for the operator, each with its remedy.
    """

    type: str
    version: str
    topology: str
    identity: str
    consistency: Consistency
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lack:
    """A privilege that the account of a source does not have, and what is lost by that, as a sentence.

    ``fatal``: without it there is no backup at all.
    """

    privilege: str
    lost: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One ordered sequence of records, and everything needed to make its like again.

    ``name`` is unique inside its source (``db.collection``); ``identity`` follows it through renames (a
    collection's UUID as hex). ``definition`` is opaque outside the source: options, indexes, schema. A
    stream without records of its own (a view) has ``has_records`` False. ``keyed`` streams are in
    key order and may be read in ranges; the others are in an order that is data.
    ``estimated_*`` are for progress and for ``CutRule.for_average`` only. ``fine`` asks for a fine rule. ``beside``
    names the stream whose records this one completes (vectors, beside documents): each of its keys is there, too, in
    the same order, and both are restored and exported together. Its own name begins with that name and ``#``.
    ``resumable``: `View.changes` tells what changed since it was *read*, so that increments may begin with it where it
    is fuzzy, too.
    """

    name: str
    kind: str
    proof: Proof
    definition: bytes
    identity: str = ""
    keyed: bool = True
    has_records: bool = True
    estimated_records: int = 0
    estimated_bytes: int = 0
    fine: bool = False
    beside: str = ""
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Part of a keyed stream: records with ``lower`` <= key < ``upper`` in the source's order; None is no bound.

    Keys are record keys as in ``Chunk.first``. Reading a ``strict`` range ends at ``upper``, cut or not: for what does
    not join with what follows it.
    """

    lower: bytes | None = None
    upper: bytes | None = None
    strict: bool = False


WHOLE = KeyRange()


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a view once everything was read through it.

    ``weaker`` maps stream names to their consistency where it is weaker than the view's.
    """

    consistency: Consistency
    weaker: Mapping[str, Consistency] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Base(Protocol):
    """The chunks that a stream had at an earlier instant, in groups whose bounds are loaded as they are asked for.

    A chunk stands for all keys from its first one to the next chunk's first one; the first also for all before it.
    """

    def firsts(self) -> Sequence[bytes]:
        """The first record key of each group, in the source's order. Never empty."""

    def bounds(self, group: int) -> Sequence[bytes]:
        """The first record key of each chunk of a group, in order."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between an earlier instant and a view's.

    ``touched`` holds by stream name, then by group of its base, the numbers of those chunks that may hold something
    else at the view's instant; all others are as they were. ``full`` says by stream name why a base cannot be relied
    on. ``full_because``, if not empty, says why none can; then the rest means nothing.
    """

    touched: Mapping[str, Mapping[int, Set[int]]] = field(default_factory=dict)
    full: Mapping[str, str] = field(default_factory=dict)
    full_because: str = ""


class View(Protocol):
    """A source at one instant. Methods may be called from several threads."""

    @property
    def instant(self) -> datetime:
        """The instant that everything read through this view belongs to (UTC)."""

    @property
    def point(self) -> Mapping[str, Any]:
        """The instant in the source's own terms, as JSON values, for the manifest (``{"cluster_time": [s, i], …}``)."""

    def streams(self) -> Sequence[StreamInfo]:
        """All streams, by name. Definitions belong to the instant."""

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """At most `parts` ranges that cover the stream, in order; one for an unkeyed or small stream."""

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """The records of a part, cut by `rule`.

        A part with an upper bound, unless strict, goes on past it until the cuts join those of the next part
        (``drtool.sources.cutting``). Raises ``InstantMovedError`` when the instant can no longer be read.
        """

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """What changed since the instant `since` (an earlier `point`) in these streams, by name.

        A base is of the stream with the same identity. A source that cannot tell gives `full_because`.
        """

    def overlay(self, since: Mapping[str, Any]) -> StreamInfo:
        """For streams of which parts were read at different instants, from `since` (an earlier `point`) to this one:
        the stream, to be read through this view like any other, whose replay over them gives this view's instant.
        The point of such a view has a ``cluster_time``.

        Raises ``OplogTruncatedError`` where it cannot be had.
        """

    def settle(self) -> Settled:
        """To be called after the last chunk: was everything really of this instant? May raise ``InstantMovedError``."""

    def cancel(self) -> None:
        """Nobody wants more of what is being read: whoever waits on the source's behalf (for bandwidth) stops waiting,
        and readers end with an error at the next opportunity."""

    def close(self) -> None:
        """Give up cursors and sessions. Safe to call twice."""


class Prepared(Protocol):
    """A source that is ready to fix its instant."""

    def freeze(self) -> View:
        """Fix the instant. Quick, so that several sources freeze close together; may be called again."""

    def close(self) -> None:
        """Release what `prepare` holds."""


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

    ``occupied`` are sentences such as ``app.users: 1,204 documents``; empty means that nothing is in the way.
    ``notes`` are things to know before one starts (records that will expire at once, say). ``hint`` says what can be
    done about what is in the way. ``lasting`` are those of `occupied` that not even a plan with ``replace`` replaces.
    Each begins with the plan's name that it is about, and a colon. ``swept`` are patterns (`Source.matches`) of all
    that goes with what such a plan replaces, its own streams or not.
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


class Sandbox(Protocol):
    """A private throw-away server, on loopback, in which nothing expires."""

    @property
    def uri(self) -> str:
        """Where it listens, as `Source.target` takes it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What holding a restored stream against the snapshot showed: how many records were compared, in what they differ
    (sentences, the first few), and for `Proof.TOLERANT` the largest error met, as a sentence for the evidence."""

    records: int
    differences: tuple[str, ...] = ()
    largest_error: str = ""


@dataclass(frozen=True, slots=True)
class ExportItem:
    """One stream to be exported. ``records`` and ``bytes`` are what the manifest says."""

    stream: StreamInfo
    records: int
    bytes: int


class ByteSink(Protocol):
    """Takes bytes in order: a new file, or standard output."""

    def write(self, data: bytes, /) -> None:
        """Take all of `data`. Raises ``OSError``."""


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where an export goes: an empty `directory`, or one `archive`; the other is None.

    ``shown`` is what the operator calls it. ``version`` is that of the system the snapshot was taken of.
    """

    shown: str
    version: str
    directory: Path | None = None
    archive: ByteSink | None = None


class Exporter(Protocol):
    """Writes streams in a system's own layout. Raises ``OSError`` where the place does not take them; what is
    incomplete then is for the caller to remove, and to sync what is complete."""

    @property
    def layout(self) -> str:
        """The name of the layout, for scripts (``mongorestore-directory``)."""

    @property
    def concurrent(self) -> bool:
        """May `write` be called from several threads, for different streams?"""

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """Write what comes before all records. Returns the items in the order in which `write` is to take them.

        ``ExportError`` where one of them has no place in the layout; nothing was written then.
        """

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """Write a stream: all of its records, in order; none of one that has none."""

    def write_joined(
        self, item: ExportItem, chunks: Iterable[bytes], beside: Sequence[tuple[ExportItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """`write` for a stream with those that complete it (``StreamInfo.beside``). Returns what was written of `item`,
        then of each in `beside`."""

    def finish(self) -> Sequence[str]:
        """Write what comes after all records. Returns sentences that say how to read it without drtool."""


class Source(Protocol):
    """A system that is backed up, as the configuration names it."""

    name: str
    type: str

    def probe(self) -> Probe:
        """Reachable? Which version? What can it give? Raises ``UnreachableError`` or ``AuthenticationError``."""

    def lacks(self) -> Sequence[Lack]:
        """What the account needs for a complete backup and does not have. Raises as `probe` does."""

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:
        """What the account of `to`, None for the source's own, needs to restore there and does not have. Writes
        nothing. Raises as `probe` does."""

    def roles(self) -> Mapping[str, str]:
        """Commands for the system's own client that create accounts' least privileges, by purpose (``backup``,
        ``restore``, ``replay``); empty where it has no such thing."""

    def remember_in(self, directory: Path) -> None:
        """Before `prepare`: a directory on this host, of this source alone in this job and repository, for whatever
        makes the next reading quicker. It may be empty at any time, and knows nothing of what was committed."""

    def prepare(self, previous: Mapping[str, Any] | None) -> Prepared:
        """Everything that needs no common instant. `previous` is the `View.point` of the job's last snapshot."""

    def log(self) -> Log | None:
        """The log of every change that a system of this kind keeps; None for a kind that has none. Connects to
        nothing."""

    def name_of_restored(self, stream: str, suffix: str) -> str:
        """Where a stream is restored to by default, beside the original (``app.users`` → ``app_<suffix>.users``)."""

    def matches(self, stream: str, pattern: str) -> bool:
        """Does a stream's name answer to what a user typed (``db``, ``db.collection`` or a glob)?"""

    def goes_along(self, stream: str, pattern: str) -> bool:
        """Does `pattern` mean this stream for the sake of others only, without which it is not worth restoring (a
        database's definitions, where somebody named a table)?"""

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """A stream's name after the user's ``old=new`` (database, collection, glob); None where it does not apply."""

    def left_out(
        self, streams: Mapping[str, str], *, only: Sequence[str], users: bool | None, elsewhere: bool
    ) -> Mapping[str, str]:
        """Which streams a restore leaves alone unless they are asked for, each with the reason: logins, say.

        `streams` are those of the restore, by original name, with their names in the target; `only` is what the user
        typed, `users` whether users and roles were asked for (None: nothing said), `elsewhere` says that the target is
        another server than the source's own.
        """

    def target(self, uri: str | None) -> Target:
        """The system itself (None) or another of its kind as a target."""

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """A sandbox of `version`'s major version or newer below `directory`, or ``MissingToolError``."""

    def sandbox_program(self, version: str) -> str:
        """What `sandbox` would start, or ``MissingToolError``; starts nothing."""

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """In what the definition of a restored stream differs from the snapshot's, as sentences; empty when equal."""

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """A definition as JSON values, for `show`."""

    def digest(self, definition: bytes) -> StreamDigest | None:
        """Computes what `Target.digests` should say of such a stream; None if it says nothing of it."""

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """Hold chunks of a restored stream against the snapshot's, all of them in order, by the proof that `stream`
        (the snapshot's) declares. They need not be cut alike."""

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """What a restored copy does worse than its original, as sentences, by the `View.point` of both, each taken
        after everything was read and settled: a search that finds less, say."""

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """The values of a field in the stream's records, for relations: one for each record, in order; ``MISSING``
        where it has none, a list where it has several. `path` is as the source's users write it (``metadata.doc_id``, a
        column). Values are plain: None, bool, int, float, str, bytes, UUID, datetime, or what the source's client gives
        (an ObjectId). ``UsageError`` for a path that the stream cannot have."""

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """The records of a stored chunk with their keys, in order: what the cut rule looks at. Connects to nothing."""

    def exporter(self, place: ExportPlace) -> Exporter:
        """What writes streams in this system's own layout. ``UsageError`` where it has none of the kind asked for."""

    def close(self) -> None:
        """Release connections."""

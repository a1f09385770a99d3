"""The contract between a source and the rest of drtool.

A source never sees the repository; it yields and takes chunks of whole records. What passes
between them is plain picklable data: what is read is in ``reading``, what a restore writes to in ``restoring``, native
layouts in ``exporting``. One contract suite (``tests/sources/contract.py``) runs
against every source with a real server behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from drtool.sources.cutting import Record
from drtool.sources.reading import Consistency, Prepared, StreamInfo

if TYPE_CHECKING:
    from drtool.sources.exporting import Exporter, ExportPlace
    from drtool.sources.log import Log
    from drtool.sources.restoring import StreamDigest, Target

MISSING: Final = object()
"""What `Source.values` gives for a record without the field."""


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


class Source(Protocol):
    """A system that is backed up, as the configuration names it."""

    name: str
    type: str
    #: May its views be a ``SharedView``?
    shares_views: bool

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

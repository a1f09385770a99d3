"""What the demonstration tells: its chapters, and the figures and checks of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from drtool.operations.backup.committing import BackupResult


class Chapter(Enum):
    """The chapters in order; values are the ids in JSON and the titles."""

    SERVER = ("server", "Start a MongoDB and a vector store that we can afford to lose")
    SEED = ("seed", "Run a small application on it: a bank whose assistant answers from documents")
    REPOSITORY = ("repository", "Make a repository, and two keys")
    BACKUP = ("backup", "Back up, while money moves between the accounts")
    KEYS = ("keys", "What would a thief of the backup host get?")
    INCREMENT = ("increment", "A day passes: some of it changes. Back up again")
    VERIFY = ("verify", "Is that backup any good? Restore it into a sandbox and compare")
    DISASTER = ("disaster", "Disaster: the database is dropped, the vectors and the settings are deleted")
    RESTORE = ("restore", "Bring it back, and prove that it is the same")
    TAMPER = ("tamper", "Somebody alters one bit of the backup")
    ROTATION = ("rotation", "What would a year of backups leave behind?")
    CLEANUP = ("cleanup", "Clean up")

    def __init__(self, id_: str, title: str) -> None:
        self.id = id_
        self.title = title

    @property
    def number(self) -> int:
        """Counted from 1."""
        return list(Chapter).index(self) + 1


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the demonstration claims, and whether it held; ``message`` has what was compared."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """The embedded server."""

    version: str
    program: Path
    directory: Path


@dataclass(frozen=True, slots=True)
class SeedFigures:
    """What the application holds. ``bytes`` is the server's own word on the size of its data; ``vectors`` are points of
    the vector store."""

    database: str
    collections: dict[str, int]
    bytes: int
    dimensions: int
    file_bytes: int
    transfers: int
    indexes: int
    vectors: int


@dataclass(frozen=True, slots=True)
class RepositoryFigures:
    """The repository and its keys."""

    repository: str
    path: Path
    agent_key: Path
    identity: Path


@dataclass(frozen=True, slots=True)
class BackupFigures:
    """The first snapshot, and what its restored accounts and ledger say about its instant.

    ``committed`` transfers were committed while the backup ran, ``included`` of them are in the snapshot;
    ``balances`` is the restored sum in cents.
    """

    backup: BackupResult
    committed: int
    included: int
    balances: int


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """What the agent key is good for. ``refusal`` is the error that it gets when it reads a record."""

    snapshots: int
    streams: int
    objects: int
    bytes: int
    refusal: str


@dataclass(frozen=True, slots=True)
class IncrementFigures:
    """The changes, and the second snapshot. ``first_stored`` is what the first one cost in bytes."""

    updated: int
    inserted: int
    deleted: int
    documents: int
    backup: BackupResult
    first_stored: int


@dataclass(frozen=True, slots=True)
class VerifyFigures:
    """The trial restore. ``level`` is what the repository's signed evidence says afterwards."""

    snapshot: str
    level: str
    proof: str
    relations: tuple[str, ...]
    objects: int
    chunks: int
    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DisasterFigures:
    """What was there, and what is left of the database."""

    documents: int
    vectors: int
    files: int
    left: int


@dataclass(frozen=True, slots=True)
class RestoreFigures:
    """The restore. ``seconds`` is the restore's own time, without the comparison."""

    snapshot: str
    records: int
    expected_records: int
    streams: int
    bytes: int
    seconds: float
    recovered_to: datetime


@dataclass(frozen=True, slots=True)
class TamperFigures:
    """The bit: in which object, in the byte at which ``offset``. ``message`` is what a check of ``objects`` said."""

    object: str
    offset: int
    objects: int
    message: str


@dataclass(frozen=True, slots=True)
class Remaining:
    """How many snapshots remain after so many ``days``, and how many days the oldest of them leads back."""

    days: int
    snapshots: int
    oldest: int


@dataclass(frozen=True, slots=True)
class RotationFigures:
    """So many snapshots ``taken`` in a simulated year, and what the policy left of them on the way."""

    policy: str
    taken: int
    course: tuple[Remaining, ...]


@dataclass(frozen=True, slots=True)
class CleanupFigures:
    """What stays: the directory where `kept`, else nothing."""

    directory: Path
    kept: bool


Figures = (
    ServerFigures
    | SeedFigures
    | RepositoryFigures
    | BackupFigures
    | KeyFigures
    | IncrementFigures
    | VerifyFigures
    | DisasterFigures
    | RestoreFigures
    | TamperFigures
    | RotationFigures
    | CleanupFigures
)


@dataclass(frozen=True, slots=True)
class Step:
    """A chapter that is over."""

    chapter: Chapter
    seconds: float
    figures: Figures
    checks: Sequence[Check] = field(default=())


class Audience(Protocol):
    """Whom the story is told to."""

    def begin(self, chapter: Chapter) -> None:
        """A chapter begins."""

    def end(self, step: Step) -> None:
        """A chapter is over; its checks may have failed."""

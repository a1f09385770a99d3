"""What a repository was seen to hold, in few figures that can be kept and shown without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a job over so many ``days``: ``stored_bytes`` is what the snapshots of these days took in the store, as far as
    they are still there; ``bytes`` how much larger the newest one is than the one before these days, None without one.
    """

    days: int
    stored_bytes: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class JobSurvey:
    """A job's snapshots, of which there is at least one; what stands in the singular is the newest one's.

    ``bytes`` are those of its records, ``stored_bytes`` what it took in the store, beside what was there before it.
    ``level`` is the level of verification reached. ``verified`` maps each level to when some snapshot of the job was
    last shown to have it. ``failing`` and ``suspects`` count snapshots. ``head`` is the manifest's hash.
    """

    snapshots: int
    newest: str
    created: datetime
    instant: datetime
    consistency: str
    records: int
    bytes: int
    stored_bytes: int
    level: str
    verified_at: datetime | None
    verification_failed: bool
    suspect: bool
    head: str
    verified: Mapping[str, datetime] = field(default_factory=dict)
    failing: int = 0
    suspects: int = 0
    growth: tuple[Growth, ...] = ()


@dataclass(frozen=True, slots=True)
class LogGap:
    """Nothing that happened after ``first`` and up to ``last`` is archived."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class LogSurvey:
    """The archived log of a source: all up to ``archived_until`` but for the current timeline's gaps, newest first.

    ``lag`` (seconds) is how far that was behind when the survey was taken. ``leads_on``: does a snapshot lead into what
    is being archived, so that it can be restored? None where that could not be told.
    """

    archived_until: datetime
    lag: float
    gaps: tuple[LogGap, ...] = ()
    leads_on: bool | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """A file system that drtool writes to. ``place`` is ``repository``, ``state`` or ``cache``; sizes are bytes;
    ``device`` is the same for places on the same one."""

    place: str
    path: str
    free: int
    total: int
    device: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The repository cannot be asked: not since ``since``, last tried at ``at``, and why."""

    since: datetime
    at: datetime
    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What the repository held at ``taken_at``, None where it has never answered.

    ``jobs`` has the configured jobs that have snapshots, ``logs`` the sources with an archived log. ``problems`` are
    sentences on what is wrong with the repository, the first twenty. ``bytes`` are those of its packs, None where this
    host's index does not know all of them. ``unanswered`` is set while the repository cannot be asked.
    """

    taken_at: datetime | None
    repository: str = ""
    jobs: Mapping[str, JobSurvey] = field(default_factory=dict)
    logs: Mapping[str, LogSurvey] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    bytes: int | None = None
    spaces: tuple[Space, ...] = ()
    unanswered: Unanswered | None = None

    def to_json(self) -> Any:
        """As it is kept."""
        return _ADAPTER.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, value: Any) -> Survey | None:
        """What `to_json` wrote; None where another version of drtool did, and meant something else."""
        try:
            return _ADAPTER.validate_python(value)
        except ValidationError:
            return None


_ADAPTER = TypeAdapter(Survey)

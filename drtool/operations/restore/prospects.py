"""What a restore of a source is going to do, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drtool.errors import TargetNotEmptyError
from drtool.operations.catalogue import Known
from drtool.operations.joining import own_streams
from drtool.operations.restore.changed import Change
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.repository.repository import Repository
from drtool.sources.restoring import Inspection, RestoreItem, RestorePlan


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stream that a restore leaves alone, because nobody asked for it; it is no part of the plan."""

    stream: str
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a restore of a source is going to do: the plan, the entries by original name, and what the target holds."""

    snapshot: Snapshot
    origin: SourceEntry
    plan: RestorePlan
    entries: dict[str, StreamEntry]
    inspection: Inspection
    left_out: tuple[LeftOut, ...] = ()

    @property
    def source(self) -> str:
        """The name of the source."""
        return self.origin.name

    @property
    def records(self) -> int:
        """How many records are to come back; what completes them counts with them."""
        return sum(item.records for item in self.streams)

    @property
    def streams(self) -> Sequence[RestoreItem]:
        """What is restored, without what only completes it."""
        return own_streams(self.plan.items)

    @property
    def in_the_way(self) -> Sequence[str]:
        """What the target holds and this restore may not replace, as sentences."""
        found = self.inspection
        return found.lasting if self.plan.replace else found.occupied

    @property
    def replaced(self) -> Sequence[str]:
        """What the target holds and this restore replaces, as sentences."""
        lasting = self.inspection.lasting
        return [one for one in self.inspection.occupied if one not in lasting] if self.plan.replace else ()

    @property
    def made(self) -> Mapping[str, str]:
        """What is there at the end because the log makes or renames it, by its name in the source, with that in the
        target."""
        return {} if self.plan.rehearsed is None else self.plan.rehearsed.made

    @property
    def parked(self) -> Collection[str]:
        """The identities of streams that are restored only for the name that the log gives them."""
        return () if self.plan.rehearsed is None else self.plan.rehearsed.parked

    @property
    def bytes(self) -> int:
        """How many bytes of records."""
        return sum(item.bytes for item in self.plan.items)


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What came back of a source.

    ``records`` and ``streams`` are there, ``expected_records`` are those of the snapshot.
    ``bytes`` were loaded. ``replayed`` are operations of a log, ``changes`` what those made of the snapshot's streams.
    ``already_there`` says by stream how many users and roles had been in the target before.
    """

    source: str
    target: str
    records: int
    expected_records: int
    streams: int
    bytes: int
    seconds: float
    replayed: int
    recovered_to: datetime
    changes: tuple[Change, ...] = ()
    already_there: Mapping[str, int] = field(default_factory=dict)


def require_free(prospect: Prospect) -> None:
    """``TargetNotEmptyError`` where something is in the way."""
    in_the_way = prospect.in_the_way
    if in_the_way:
        more = len(in_the_way) - 10
        raise TargetNotEmptyError(
            f"{prospect.inspection.target} is not empty: {'; '.join(in_the_way[:10])}"
            + (f"; and {more} more" if more > 0 else ""),
            hint=prospect.inspection.hint,
        )


def expected_seconds(repository: Repository, known: Known, prospects: Iterable[Prospect]) -> float | None:
    """How long these should take, by the last restores on this host of their kinds, else by the last trial restore."""
    total = 0.0
    for prospect in prospects:
        rate = repository.state.measured(rate_name(prospect.origin)) or known.trial_rate()
        if not rate:
            return None
        total += prospect.bytes / rate
    return total


def rate_name(origin: SourceEntry) -> str:
    """The name of the rate (bytes per second) that local state keeps of the last restore of such a system."""
    return f"restore {origin.type}"

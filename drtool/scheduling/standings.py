"""How every schedule stands by this host's ledger, and what the scheduler itself notes there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from drtool.scheduling.due import Standing, standing
from drtool.scheduling.entries import Entry
from drtool.scheduling.ledger import Ledger, RunState

_KNOWN, _TICK, _TURNS = "scheduler/entries", "scheduler/tick", "scheduler/turns/"
#: More than are ever tried for one slot.
_RUNS = 50


def standings(entries: Iterable[Entry], ledger: Ledger, now: datetime) -> list[tuple[Entry, Standing]]:
    """Each entry with how it stands."""
    entries = list(entries)
    pauses, since = ledger.last_pauses(), known_since(ledger, entries)
    found = []
    for entry in entries:
        runs = ledger.runs(entry=entry.name, task=entry.task, limit=_RUNS)
        if not any(run.state is RunState.OK for run in runs):
            runs += ledger.runs(entry=entry.name, task=entry.task, state=RunState.OK, limit=1)
        found.append((entry, standing(entry, runs, pauses.get(entry.name), now, since.get(entry.name))))
    return found


def known_since(ledger: Ledger, entries: Iterable[Entry]) -> dict[str, datetime]:
    """When ``schedule run`` first saw the entries as they are now, by name; those that it has seen."""
    noted = _noted(ledger)
    return {
        entry.name: datetime.fromtimestamp(noted[entry.name]["since"], UTC)
        for entry in entries
        if entry.name in noted and noted[entry.name]["identity"] == entry.identity
    }


def acquaint(ledger: Ledger, entries: Iterable[Entry], now: datetime) -> None:
    """Note the entries that are seen for the first time: they begin with their next slot. One whose task or rhythm has
    changed counts as another."""
    noted, stamp = _noted(ledger), now.timestamp()
    seen = {}
    for entry in entries:
        before = noted.get(entry.name)
        is_same = before is not None and before["identity"] == entry.identity
        since = min(before["since"], stamp) if before and is_same else stamp
        seen[entry.name] = {"identity": entry.identity, "since": since}
    if seen != noted:
        ledger.note(_KNOWN, seen)


def tick(ledger: Ledger, now: datetime) -> None:
    """Note that ``schedule run`` was here."""
    ledger.note(_TICK, now.timestamp())


def last_tick(ledger: Ledger) -> datetime | None:
    """When ``schedule run`` last looked at what is due; None where it never has."""
    noted = ledger.noted(_TICK)
    return None if noted is None else datetime.fromtimestamp(noted, UTC)


def turns_taken(ledger: Ledger, entry: str) -> int:
    """How many runs of an entry went well: each turn is taken until it does, so that no share is left out."""
    return int(ledger.noted(_TURNS + entry) or 0)


def take_turn(ledger: Ledger, entry: str) -> None:
    """A run of it went well."""
    ledger.note(_TURNS + entry, turns_taken(ledger, entry) + 1)


def _noted(ledger: Ledger) -> dict[str, dict[str, Any]]:
    return ledger.noted(_KNOWN) or {}

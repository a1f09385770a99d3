"""What is due: pure functions of a schedule, its runs, and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile

from drtool.errors import ExitCode
from drtool.scheduling.entries import Entry
from drtool.scheduling.ledger import Pause, RunRecord, RunState

#: A slot without a run is no missed one for so long: whoever calls ``schedule run`` comes every few minutes.
GRACE = timedelta(minutes=5)
#: What starts within so long of its slot is not being made up for: ``schedule run`` may be called every hour only.
ON_TIME = timedelta(minutes=65)
#: So many missed slots are told apart, the newest; there are no fewer.
MOST_MISSED = 1000
_ENDED_BADLY = (RunState.FAILED, RunState.PARTIAL, RunState.LOST)
#: How a run ends that would end the same way again.
_IN_VAIN = (ExitCode.USAGE, ExitCode.VERIFICATION_FAILED, ExitCode.WRONG_KEY, ExitCode.REFUSED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a schedule stands at a moment.

    ``last_run`` and ``last_success`` are the newest runs, ``running`` one that has not ended. ``missed`` are the slots
    since the last attempt for which nothing has started, oldest first, and ``overdue_since`` is the first of them.
    ``due_slot`` is what is to be started now; it was tried ``tried`` times already. ``passed_over`` is the newest slot
    that nothing will be started for, as ``catch_up`` is off.
    """

    last_run: RunRecord | None
    last_success: RunRecord | None
    running: RunRecord | None
    next_slot: datetime
    missed: tuple[datetime, ...] = ()
    due_slot: datetime | None = None
    tried: int = 0
    passed_over: datetime | None = None
    paused: Pause | None = None

    @property
    def overdue_since(self) -> datetime | None:
        """Since when something should have been started; None where nothing should."""
        return self.missed[0] if self.missed else None

    @property
    def next_run(self) -> datetime | None:
        """When something will be started next, by what is known now; None where it is paused without an end."""
        return self.next_slot if self.paused is None or self.paused.until is not None else None


def standing(
    entry: Entry, runs: Sequence[RunRecord], pause: Pause | None, now: datetime, since: datetime | None = None
) -> Standing:
    """How an entry stands now. `runs` are its own, newest first; `pause` is its last; `since` is when this host first
    saw it as it is configured (None: just now): nothing is due from before.

    A slot is due once it has come and nothing of the entry was started at or after it, by whomever; of several, the
    newest. What is left of a pause when it ends is not made up for, and neither is what an attempt of any outcome was
    for, unless ``retries`` are configured, or the run was lost.
    """
    last_run = runs[0] if runs else None
    last_success = next((run for run in runs if run.state is RunState.OK), None)
    running = next((run for run in runs if run.state is RunState.RUNNING), None)
    next_slot = entry.schedule.next_after(now)
    if pause is not None and pause.lasts(now):
        if pause.until is not None:
            next_slot = entry.schedule.next_after(pause.until)
        return Standing(last_run, last_success, running, next_slot, paused=pause)
    open_slots = _open_slots(entry, _covered(last_run, pause, since, now), now)
    missed = tuple(slot for slot in open_slots if slot + GRACE <= now)
    found = Standing(last_run, last_success, running, next_slot, missed)
    if open_slots:
        return _with_open(found, entry, open_slots[-1], now)
    return _with_retry(found, entry, runs, now)


def _covered(last: RunRecord | None, pause: Pause | None, since: datetime | None, now: datetime) -> datetime:
    """Up to when no slot is open."""
    known = [now if since is None else min(since, now)]
    if last is not None:
        known += [last.started] if last.slot is None else [last.started, last.slot]
    if pause is not None and pause.until is not None:
        known.append(pause.until)
    return max(known)


def _open_slots(entry: Entry, covered: datetime, now: datetime) -> list[datetime]:
    """The slots after `covered` that have come, oldest first."""
    newest_first = takewhile(lambda slot: slot > covered, entry.schedule.back_from(now))
    return list(islice(newest_first, MOST_MISSED))[::-1]


def _with_open(found: Standing, entry: Entry, slot: datetime, now: datetime) -> Standing:
    if entry.settings.catch_up or now - slot <= ON_TIME:
        return replace(found, due_slot=slot)
    return replace(found, passed_over=slot)


def _with_retry(found: Standing, entry: Entry, runs: Sequence[RunRecord], now: datetime) -> Standing:
    last, settings = found.last_run, entry.settings
    if last is None or last.slot is None or last.ended is None or not _is_worth_retrying(last):
        return found
    tried = sum(1 for run in runs if run.slot == last.slot)
    retries, after = settings.retries, timedelta(seconds=settings.retry_after)
    if last.state is RunState.LOST and settings.catch_up:
        # It went down with its host, or nearly: that is made up for as if it had not begun, once.
        retries, after = max(1, retries), timedelta(0)
    if tried > retries or now < last.ended + after:
        return found
    return replace(found, due_slot=last.slot, tried=tried)


def _is_worth_retrying(run: RunRecord) -> bool:
    return run.state in _ENDED_BADLY and run.exit_code not in _IN_VAIN

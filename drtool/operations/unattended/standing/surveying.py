"""Asking the repository how things stand, within a time limit, and keeping the answer on this host.

Status, alerts and metrics go by what is kept, so that they work while the store does not answer, and say so.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from drtool.config.root import Config
from drtool.errors import DrtoolError, InterruptedRunError, TransientStorageError
from drtool.local.clock import Clock, now
from drtool.operations.unattended.standing.spaces import spaces
from drtool.operations.unattended.standing.survey import Survey, Unanswered
from drtool.scheduling.ledger import Ledger

#: How long (seconds) the repository may take to answer; a request on its way is waited for.
LIMIT = 30.0
#: How old (seconds) what is kept may get before ``schedule run`` asks again; less where a log is archived, whose lag is
#: a matter of minutes, and where nothing answered.
KEPT_FOR, SOONER = 3600.0, 600.0
_NOTE = "survey"


def ask(config: Config, clock: Clock = now, limit: float = LIMIT) -> Survey:
    """Open the repository and take a survey; ``TransientStorageError`` where it takes longer than `limit` seconds."""
    # schedule run asks once an hour, and goes by what is kept in every minute: a repository takes long to import.
    from drtool.operations.opening import repository_of
    from drtool.operations.unattended.standing.taking import take_survey

    late = threading.Event()
    timer = threading.Timer(limit, late.set)
    timer.daemon = True
    timer.start()
    try:
        with repository_of(config.repository, cancelled=late) as repository:
            return take_survey(repository, config, clock)
    except InterruptedRunError as error:
        if not late.is_set():
            raise
        raise TransientStorageError(
            f"{config.repository.url} did not answer within {limit:.0f} s",
            hint="drtool doctor finds out whether the store can be reached from here.",
        ) from error
    finally:
        timer.cancel()


def look(config: Config, kept: Survey | None, clock: Clock = now, limit: float = LIMIT) -> Survey:
    """Ask the repository; where it cannot be asked, what is kept, with the reason."""
    try:
        return ask(config, clock, limit)
    except InterruptedRunError:
        raise
    except DrtoolError as error:
        return unanswered(kept, config, error, clock())


def refreshed(config: Config, ledger: Ledger, clock: Clock = now, limit: float = LIMIT) -> Survey:
    """`look`, and keep what is seen."""
    survey = look(config, kept_survey(config, ledger), clock, limit)
    keep_survey(ledger, survey)
    return survey


def refresh_if_old(config: Config, ledger: Ledger, clock: Clock = now) -> Survey:
    """`refreshed`, unless what is kept is young enough."""
    kept = kept_survey(config, ledger)
    asked = None if kept is None else kept.taken_at if kept.unanswered is None else kept.unanswered.at
    if kept is not None and asked is not None:
        is_urgent = kept.unanswered is not None or kept.logs or _captures(config)
        # What was asked in the future was asked before the clock was set back.
        if 0 <= (clock() - asked).total_seconds() < (SOONER if is_urgent else KEPT_FOR):
            return kept
    return refreshed(config, ledger, clock)


def _captures(config: Config) -> bool:
    return any(settings.task == "pitr capture" for settings in config.schedules.values())


def unanswered(kept: Survey | None, config: Config, error: DrtoolError, at: datetime) -> Survey:
    """What was kept, with a note that the repository could not be asked."""
    kept = kept or Survey(None, spaces=spaces(config))
    since = at if kept.unanswered is None else kept.unanswered.since
    return replace(kept, unanswered=Unanswered(since, at, error.kind, error.message, error.hint))


def keep_survey(ledger: Ledger, survey: Survey) -> None:
    """Keep it on this host."""
    ledger.note(_NOTE, survey.to_json())


def kept_survey(config: Config, ledger: Ledger) -> Survey | None:
    """What is kept, with the free space of this moment; None where nobody has asked yet."""
    kept = Survey.from_json(ledger.noted(_NOTE))
    return None if kept is None else replace(kept, spaces=spaces(config))


__all__ = [
    "Survey",
    "ask",
    "keep_survey",
    "kept_survey",
    "look",
    "refresh_if_old",
    "refreshed",
    "unanswered",
]

"""The audit log: what is written before and after a command."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from drtool.errors import InterruptedRunError, StateError, StorageError
from drtool.local.clock import Clock, now
from drtool.operations.unattended.auditing.entries import Deed, Result, about, fitting, told
from drtool.operations.unattended.auditing.place import Place
from drtool.operations.unattended.auditing.uploading import hand_over, kept_open

#: What happens all the time is told no more often than this, if nothing about it is another.
_SELDOM = timedelta(hours=1)
#: After these nobody waits for the store once more; the next command gives it what it has not got.
_NO_WAITING = (StorageError, KeyboardInterrupt, InterruptedRunError)


@contextmanager
def audited(
    place: Place,
    deed: Deed,
    result: Callable[[BaseException | None], Result],
    warn: Callable[[str], None],
    clock: Clock = now,
) -> Iterator[None]:
    """Inside, a command does what it does: told before and after, and given to the repository if the command had that
    open. `result` says how it ended. That the log cannot be written is a warning: nothing is refused for it."""
    begun = _append(place, {"event": "begun", **about(place.config, deed)}, warn, clock)
    ending = {"event": "ended", "run": deed.run, "command": deed.command, "begun": begun}
    with kept_open() as kept:

        def end(error: BaseException | None) -> None:
            # What is wrong with the log was told when the command began, if it was wrong then.
            hears = warn if begun is not None else _nobody
            number = _append(place, {**ending, **told(result(error))}, hears, clock)
            if number is not None and not isinstance(error, _NO_WAITING):
                hand_over(place, kept, warn)

        try:
            yield
        except BaseException as error:
            end(error)
            raise
        end(None)


@contextmanager
def audited_seldom(
    place: Place,
    deed: Deed,
    result: Callable[[BaseException | None], Result],
    warn: Callable[[str], None],
    clock: Clock = now,
) -> Iterator[None]:
    """The same for what is done all the time: one entry once it is over, if it changed something (``facts``) or failed,
    and at most one an hour of the same kind."""
    with kept_open() as kept:
        try:
            yield
        except BaseException as error:
            if _tell_seldom(place, deed, result(error), warn, clock) and not isinstance(error, _NO_WAITING):
                hand_over(place, kept, warn)
            raise
        if _tell_seldom(place, deed, result(None), warn, clock):
            hand_over(place, kept, warn)


def tell_done(place: Place, deed: Deed, result: Result, warn: Callable[[str], None], clock: Clock = now) -> None:
    """One entry about a command that is over, where there was no configuration when it began."""
    entry = {"event": "done", **about(place.config, deed), **told(result)}
    _append(place, entry, warn, clock)


def _append(place: Place, entry: Mapping[str, Any], warn: Callable[[str], None], clock: Clock) -> int | None:
    """The entry's number; None where it could not be written."""
    try:
        with place.log(clock) as log:
            return log.append(fitting(entry)).number
    except StateError as error:
        warn(f"not in the audit log: {entry['command']} ({entry['event']}): {error.message}")
        return None


def _nobody(_text: str) -> None:
    """Hears it."""


def _tell_seldom(place: Place, deed: Deed, result: Result, warn: Callable[[str], None], clock: Clock) -> bool:
    if not (result.facts or result.exit_code):
        return False
    whole = about(place.config, deed)
    same = repr((deed.command, whole["arguments"], whole["who"], result.exit_code, result.kind))
    try:
        with place.log(clock) as log:
            if not log.is_due(hashlib.sha256(same.encode()).hexdigest(), _SELDOM):
                return False
    except StateError:  # writing says what is wrong
        pass
    return _append(place, {"event": "done", **whole, **told(result)}, warn, clock) is not None

"""What is put on record of a run that did not say itself how it ended, or never began."""

from __future__ import annotations

from drtool.errors import ExitCode, LockedError, SkippedError, TimeLimitError
from drtool.operations.unattended.scheduling.children import Ended
from drtool.scheduling.ledger import Outcome, RunRecord, RunState

_LOST_HINT = "Was it killed, for want of memory perhaps, or did the host go down? What it uploaded is reused."
_STATES = {
    ExitCode.OK: RunState.OK,
    ExitCode.PARTIAL: RunState.PARTIAL,
    ExitCode.LOCKED: RunState.SKIPPED,
    ExitCode.SKIPPED: RunState.SKIPPED,
    ExitCode.INTERRUPTED: RunState.STOPPED,
}

LOST = Outcome(RunState.LOST, ExitCode.FAILED, "lost", "its process is gone without a word", _LOST_HINT)


def outcome_of(ended: Ended, longest: float | None = None) -> Outcome:
    """How a command ended, by what is left of it; `longest` (seconds) is how long it was allowed to take."""
    if ended.too_long:
        limit = "" if longest is None else f" than {longest:g} s"
        error = TimeLimitError(f"took longer{limit} (max_duration), and was stopped")
        return Outcome(RunState.FAILED, ExitCode.FAILED, error.kind, error.message, error.hint)
    if ended.signal:
        message = f"its process was ended by {ended.signal}"
        return Outcome(RunState.FAILED, ended.exit_code, "killed", message, _LOST_HINT)
    state = next((state for code, state in _STATES.items() if code == ended.exit_code), RunState.FAILED)
    message = ended.message
    if not message and state is not RunState.OK:
        message = f"ended with exit code {ended.exit_code} without a word"
    return Outcome(state, ended.exit_code, ended.kind, message, ended.hint)


def overlapping(running: RunRecord) -> Outcome:
    """Of a slot that comes while the run before goes on."""
    since = running.started.isoformat(timespec="seconds")
    error = LockedError(f"the run before goes on, since {since}")
    return Outcome(RunState.SKIPPED, error.exit_code, error.kind, error.message)


def passed_over(count: int) -> Outcome:
    """Of slots that came while nobody started them, and that are not made up for."""
    runs = "a run was" if count == 1 else f"{count} runs were"
    error = SkippedError(f"{runs} missed, and catch_up is off")
    return Outcome(RunState.SKIPPED, error.exit_code, "missed", error.message)

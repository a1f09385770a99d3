"""A moment as somebody types it, with a zone or as the clock on the wall showed it."""

from __future__ import annotations

from datetime import UTC, datetime

from drtool.errors import UsageError


def parse_moment(text: str) -> datetime:
    """ISO 8601; without a zone it is local time. ``UsageError`` where that happened twice, or never."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", hint="Times are ISO 8601: 2026-08-01T14:03:27+02:00") from error
    if found.tzinfo is not None:
        return found
    try:
        first, second = (found.replace(fold=fold).astimezone() for fold in (0, 1))
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} lies outside of what can be told without a zone", hint="Add one: Z for UTC."
        ) from None
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone().replace(tzinfo=None) != found:
        raise UsageError(
            f"there was no {text} here: the clocks were put forward over it",
            hint=f"Say which is meant: {second.isoformat()} or {first.isoformat()}",
        )
    raise UsageError(
        f"{text} happened twice here: the clocks were put back",
        hint=f"Say which is meant: {first.isoformat()} or {second.isoformat()}",
    )


def parse_place(text: str) -> tuple[int, int]:
    """``SECONDS:INC``, as ``pitr find`` prints where an operation stands."""
    seconds, _, increment = text.partition(":")
    if not (seconds.isdecimal() and increment.isdecimal() and int(seconds) < 1 << 32 and int(increment) < 1 << 32):
        raise UsageError(
            f"{text!r} is no place in the log",
            hint="Write SECONDS:INC as drtool pitr find prints it, such as 1790000000:12",
        )
    return int(seconds), int(increment)

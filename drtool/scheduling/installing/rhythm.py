"""How often drtool is called, as cron and systemd say it."""

from __future__ import annotations

from dataclasses import dataclass

from drtool.errors import UsageError

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Rhythm:
    """``cron`` has five fields, ``calendar`` is an OnCalendar= of systemd; ``seconds`` lie between two calls."""

    seconds: int
    cron: str
    calendar: str


def rhythm(seconds: float) -> Rhythm:
    """Every so many seconds: minutes that divide an hour, or hours that divide a day. ``UsageError`` otherwise."""
    whole = int(seconds)
    minutes, hours = whole // _MINUTE, whole // _HOUR
    if whole == seconds and whole and whole % _MINUTE == 0:
        if whole == _MINUTE:
            return Rhythm(whole, "* * * * *", "*:*:00")
        if whole < _HOUR and _HOUR % whole == 0:
            return Rhythm(whole, f"*/{minutes} * * * *", f"*:0/{minutes}:00")
        if whole == _HOUR:
            return Rhythm(whole, "0 * * * *", "*:00:00")
        if whole < _DAY and whole % _HOUR == 0 and _DAY % whole == 0:
            return Rhythm(whole, f"0 */{hours} * * *", f"0/{hours}:00:00")
        if whole == _DAY:
            return Rhythm(whole, "0 0 * * *", "00:00:00")
    raise UsageError(
        "--every must be minutes that divide an hour, or hours that divide a day: 1m, 5m, 15m, 1h, 6h",
        hint="When something is done, the schedules say; this is how often drtool looks whether something is due.",
    )

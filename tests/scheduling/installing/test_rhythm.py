"""How often drtool is called: cron and systemd mean the same moments."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from croniter import croniter

from drtool.errors import UsageError
from drtool.scheduling.installing.rhythm import rhythm

_MINUTES = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440]


@pytest.mark.parametrize("minutes", _MINUTES)
def test_so_many_minutes_lie_between_two_calls(minutes: int) -> None:
    times = croniter(rhythm(minutes * 60).cron, datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC))
    moments = [times.get_next(datetime) for _ in range(50)]
    gaps = {(after - before).total_seconds() for before, after in pairwise(moments)}
    assert gaps == {minutes * 60}


def test_systemd_means_the_same_moments() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    calendars = [rhythm(minutes * 60).calendar for minutes in _MINUTES]
    command = ["systemd-analyze", "calendar", "--iterations=40", "--base-time=2026-03-01 00:00:01 UTC", *calendars]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}, timeout=60
    )
    told = done.stdout.split("Original form")[1:] if "Original form" in done.stdout else done.stdout.split("\n\n")
    assert len(told) == len(_MINUTES)
    for minutes, text in zip(_MINUTES, told, strict=True):
        lines = [line.partition(": ")[2] for line in text.splitlines() if "UTC" in line and "(in UTC)" not in line]
        times = croniter(rhythm(minutes * 60).cron, datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC))
        assert lines == [f"{times.get_next(datetime):%a %Y-%m-%d %H:%M:%S} UTC" for _ in range(40)]


@pytest.mark.parametrize("seconds", [0, 30, 90, 7 * 60, 45 * 60, 90 * 60, 5 * 3600, 36 * 3600, 60.5])
def test_a_rhythm_that_limps_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="--every must be minutes that divide an hour"):
        rhythm(seconds)

"""What looking and cleaning up cost when a repository is years old.

Time and memory are those of whole processes on a directory, whose requests are counted: S3 would get as many.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from drtool.cli.table import ENTRIES
from tests.bench.aging import age
from tests.bench.measure import Measured, run
from tests.bench.place import environment

TITLE = "years"


@dataclass(frozen=True, slots=True)
class _Row:
    """A command to measure, with this host's cache as it is or ``cold``; it is asked to take less than ``limit``."""

    arguments: tuple[str, ...]
    cold: bool
    limit: float | None

    @property
    def name(self) -> str:
        return " ".join(self.arguments) + (", nothing cached" if self.cold else "")


_ROWS = (
    _Row(("snapshots",), True, None),
    _Row(("snapshots",), False, 1),
    _Row(("retention", "plan"), False, 2),
    _Row(("prune", "--dry-run"), True, None),
    _Row(("prune", "--dry-run"), False, 10),
)
_HEADINGS = ("", "seconds", "at most", "CPU s", "peak MB", "requests to S3")


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each command."""
    with tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory:
        place = Path(directory) / "years"
        begun = time.monotonic()
        made = age(place, scale)
        told = (
            f"{TITLE}: {made.chunks:,} chunks ({made.pages:,} of them pages) in {made.packs:,} packs,"
            f" {made.bytes / 1e9:.0f} GB; {made.snapshots:,} snapshots and {made.removed:,} removed ones;"
            f" made without data in {time.monotonic() - begun:.0f} s"
        )
        known = {entry.name.split()[0] for entry in ENTRIES}
        rows = [_measured(place, row, runs) for row in _ROWS if row.arguments[0] in known]
    cells = [_HEADINGS, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    return "\n".join([told, *("  " + _line(row, widths) for row in cells)])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    placed = list(zip(row, widths, strict=True))
    numbers = [cell.rjust(width) for cell, width in placed[1:-1]]
    return "  ".join([row[0].ljust(widths[0]), *numbers, row[-1]]).rstrip()


def _measured(place: Path, row: _Row, runs: int) -> tuple[str, ...]:
    counts = place / "requests.json"
    command = [sys.executable, "-m", "tests.bench.counting", str(counts), *row.arguments]
    measured: list[Measured] = []
    for _ in range(runs):
        if row.cold:
            shutil.rmtree(place / "cache", ignore_errors=True)
        measured.append(run([command], cwd=place, env=environment(), server=os.getpid()))
    return (
        row.name,
        f"{median(one.seconds for one in measured):.2f}",
        f"{row.limit:.0f}" if row.limit else "",
        f"{median(one.cpu for one in measured):.2f}",
        f"{max(one.peak for one in measured) / 1e6:.0f}",
        _requests(json.loads(counts.read_text(encoding="utf-8"))),
    )


def _requests(kinds: Mapping[str, int]) -> str:
    each = ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items(), key=lambda one: -one[1]))
    return f"{sum(kinds.values()):,} ({each})"

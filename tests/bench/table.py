"""The figures as a table: medians, and how drtool's time compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tests.bench.measure import Measured

_HEADINGS = ("", "seconds", "from – to", "MB/s", "CPU s", "server s", "peak MB", "drtool takes")


def render(title: str, runs: Mapping[str, Sequence[Measured]], size: int, ours: str) -> str:
    """One part: a line for each contestant. `size` is the workload's in bytes, `ours` the one to compare.

    ``CPU s`` is that of the processes measured with their children, ``server s`` what the server spent meanwhile, with
    its own, ``peak MB`` the memory of the processes without their children.
    """
    rows = [_HEADINGS]
    for name, measured in runs.items():
        times = [each.seconds for each in measured]
        rows.append(
            (
                name,
                f"{median(times):.2f}",
                f"{min(times):.2f} – {max(times):.2f}",
                f"{size / median(times) / 1e6:.0f}",
                f"{median(each.cpu for each in measured):.2f}",
                f"{median(each.server_cpu for each in measured):.2f}",
                f"{max(each.peak for each in measured) / 1e6:.0f}",
                _ratio(name, runs, ours),
            )
        )
    return f"{title}\n" + "\n".join(f"  {_line(row, rows)}" for row in rows)


def _ratio(name: str, runs: Mapping[str, Sequence[Measured]], ours: str) -> str:
    """Runs of one round stand beside each other, so their ratios are what is compared."""
    if name == ours or ours not in runs:
        return ""
    ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(runs[ours], runs[name], strict=False)]
    return f"{median(ratios):.2f} × its time"


def _line(row: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(each[column]) for each in rows) for column in range(len(row))]
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()

"""What remains over time, drawn with characters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drtool.operations.retention.simulating import Remaining

WIDTH = 60
#: One character for one snapshot, two, up to four, up to eight, more.
_MARKS = ((1, "·"), (2, ":"), (4, "▪"), (8, "▮"))
_MANY = "█"
_TICKS = tuple((timedelta(days=days), name) for days, name in ((1, "1 d"), (7, "1 w"), (30, "1 m"), (365, "1 y")))


def timeline(remaining: Sequence[Remaining]) -> Iterator[str]:
    """A line for each moment: how many snapshots there are, and how old, the newest on the left; ages are to a
    logarithmic scale."""
    longest = max(one.after for one in remaining)
    scale = _Scale(max(longest, timedelta(days=1)))
    yield f"{'AFTER':>7}  {'STAY':>6}  {scale.ticks()}"
    for one in remaining:
        cells = Counter(scale.column(age) for age in one.ages)
        drawn = "".join(_mark(cells[column]) for column in range(WIDTH)).rstrip()
        yield f"{age_of(one.after):>7}  {len(one.ages):>6,}  {drawn}"
    yield f"{'':>17}age of what stays (· one, : two, ▪ ▮ █ more)"


def age_of(age: timedelta) -> str:
    """An age in the unit that people tell it in: ``6 h``, ``7 d``, ``3 m`` (months), ``2.5 y``."""
    days = age / timedelta(days=1)
    if days < 2:
        return f"{age / timedelta(hours=1):.0f} h" if days < 1 else f"{days:.0f} d"
    if days < 30:
        return f"{days:.0f} d"
    return f"{days / 30.44:.0f} m" if days < 330 else f"{days / 365.25:.1f} y".replace(".0 ", " ")


class _Scale:
    def __init__(self, longest: timedelta) -> None:
        self._whole = self._log(longest)

    def column(self, age: timedelta) -> int:
        """Where an age is drawn."""
        return min(WIDTH - 1, int(self._log(age) / self._whole * (WIDTH - 1)))

    def ticks(self) -> str:
        """The ages that have a name, above their columns."""
        line = list("now".ljust(WIDTH))
        for age, name in _TICKS:
            column = self.column(age)
            if self._log(age) < self._whole and column + len(name) <= WIDTH:
                line[column : column + len(name)] = name
        return "".join(line).rstrip()

    @staticmethod
    def _log(age: timedelta) -> float:
        return math.log1p(age / timedelta(hours=6))


def _mark(count: int) -> str:
    if not count:
        return " "
    return next((mark for most, mark in _MARKS if count <= most), _MANY)

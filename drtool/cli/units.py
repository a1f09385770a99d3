"""Sizes and durations as people read them."""

from __future__ import annotations


def size(amount: float) -> str:
    """Bytes in decimal units: ``999 B``, ``1.2 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if round(amount, 0 if unit == "B" else 1) < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} PB"


def duration(seconds: float) -> str:
    """The two largest units: ``0.4 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append((count, unit))
    shown = [f"{count} {unit}" for count, unit in parts[:2] if count]
    return " ".join(shown) or "0 s"


def apart(seconds: float) -> str:
    """A distance in time: ``40 ms``, and from a second on as `duration` has it."""
    if seconds >= 1:
        return duration(seconds)
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "less than 1 ms"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 segment``, ``2,000 segments``; `many` where that is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"

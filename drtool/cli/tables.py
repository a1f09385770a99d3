"""Tables for people, laid out for a terminal's width or for none."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import zip_longest

_GAP = "  "


def lay_out(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str], width: int | None
) -> tuple[list[str], list[str]]:
    """The lines of the columns' names, and those of the rows; the columns in `right` are aligned on the right.

    With a `width` (in characters) the widest columns are narrowed until a line fits, and their texts wrapped.
    """
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(_width(line) for row in cells for line in row[column].split("\n")) for column in range(len(columns))]
    if width is not None:
        _narrow(widths, width - len(_GAP) * (len(columns) - 1))
    on_the_right = [column in right for column in columns]
    head, *body = ([*_lines(row, widths, on_the_right)] for row in cells)
    return head, [line for lines in body for line in lines]


def _lines(row: Sequence[str], widths: Sequence[int], on_the_right: Sequence[bool]) -> Iterator[str]:
    wrapped = [list(_wrapped(text, width)) for text, width in zip(row, widths, strict=True)]
    for line in zip_longest(*wrapped, fillvalue=""):
        placed = zip(line, widths, on_the_right, strict=True)
        yield _GAP.join(_aligned(text, width, right) for text, width, right in placed).rstrip()


def _narrow(widths: list[int], room: int) -> None:
    """Take from the widest until all fit; each keeps a character."""
    while (excess := sum(widths) - room) > 0 and (widest := max(widths)) > 1:
        those = [column for column, width in enumerate(widths) if width == widest]
        second = max((width for width in widths if width < widest), default=1)
        less = max(1, min(widest - second, excess // len(those)))
        for column in those[: max(1, excess)]:
            widths[column] -= less


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most this width: broken between words, and within one that is too long."""
    for line in text.split("\n"):
        if _width(line) <= width:
            yield line
            continue
        begun = ""
        for word in line.split(" "):
            both = f"{begun} {word}" if begun else word
            if _width(both) <= width:
                begun = both
                continue
            if begun:
                yield begun
            *whole, begun = _folded(word, width)
            yield from whole
        yield begun


def _folded(word: str, width: int) -> Iterator[str]:
    begun, taken = "", 0
    for character in word:
        own = _width(character)
        if begun and taken + own > width:
            yield begun
            begun, taken = "", 0
        begun, taken = begun + character, taken + own
    yield begun


def _aligned(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """How many columns of a terminal it takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

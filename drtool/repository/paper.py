"""An identity on paper: groups of six characters, each with one that tells whether it was typed in as it stands.

The check character is a weighted sum over GF(32) (docs/format.md, "Paper"): one wrong character in a group is always
noticed, and so are two that changed places, or two groups that did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drtool.errors import KeyFileError
from drtool.repository.identity import IDENTITY_PREFIX, Identity

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#: The lengths of the groups, in order: 58 characters in all.
GROUPS = (6,) * 9 + (4,)
GROUPS_IN_A_LINE = 2
#: x^5 + x^2 + 1, by which GF(32) is made; 2 generates its 31 elements other than 0.
_POLYNOMIAL = 0b100101

_CELL = r"(?:(?P<number>\d+)[.:)]?\s+)?(?P<group>[^\s/]+)\s*/\s*(?P<check>\S)"
_TYPED = re.compile(_CELL)
_ROW = re.compile(rf"(?:{re.sub('[?]P<[a-z]+>', '', _CELL)}(?:\s+|$))+")
_WHOLE = "Type every group, with the slash and the character after it."
_LOOK_ALIKES = {"0": "the letter O", "1": "the letter I or L", "8": "the letter B", "9": "the letter G"}


def _times(one: int, other: int) -> int:
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 0b100000:
            one ^= _POLYNOMIAL
        other >>= 1
    return product


def check_character(number: int, group: str) -> str:
    """The check character of the group with this number (from 1); `group` is upper-case base32."""
    sum_, weight = number, 1
    for character in group:
        weight = _times(weight, 2)
        sum_ ^= _times(weight, ALPHABET.index(character))
    return ALPHABET[sum_]


def groups_of(identity: Identity) -> list[str]:
    """The identity's characters in groups of six; the last one is shorter."""
    return identity.to_line().removeprefix(IDENTITY_PREFIX).split("-")


def to_lines(identity: Identity) -> list[str]:
    """What to print: `` 1  ABCDEF/Q    2  GHIJKL/7``, and before that ``root …`` where the identity pins one."""
    cells = [f"{n:2}  {group}/{check_character(n, group)}" for n, group in enumerate(groups_of(identity), start=1)]
    rows = ["    ".join(cells[at : at + GROUPS_IN_A_LINE]) for at in range(0, len(cells), GROUPS_IN_A_LINE)]
    return ([f"root {identity.pinned_root.hex()}"] if identity.pinned_root is not None else []) + rows


@dataclass(frozen=True, slots=True)
class _Group:
    number: int
    text: str
    check: str


def is_paper(text: str) -> bool:
    """Was this typed in from a paper, group by group, rather than copied from an identity file?"""
    return bool(_rows(text)) and IDENTITY_PREFIX not in text.upper()


def from_typed(text: str, origin: str) -> Identity:
    """The identity that was typed in from paper; case and spaces do not matter.

    ``KeyFileError`` names every group that is not as it was printed.
    """
    found = [group for row in _rows(text) for group in _groups_in(row)]
    for place, group in enumerate(found, start=1):
        if group.number not in (0, place):
            raise KeyFileError(
                f"{origin}: group {place} is missing, or not in its place",
                hint="Type the groups in the order of their numbers.",
            )
    if len(found) != len(GROUPS):
        raise KeyFileError(f"{origin} has {len(found)} groups instead of {len(GROUPS)}", hint=_WHOLE)
    wrong = [said for place, group in enumerate(found, start=1) if (said := _complaint(place, group))]
    if wrong:
        raise KeyFileError(
            f"{origin}: " + "; ".join(wrong), hint="Compare these groups with the paper; the others are as printed."
        )
    roots = [line for line in map(str.strip, text.lower().splitlines()) if line.startswith("root ")]
    line = IDENTITY_PREFIX + "".join(group.text for group in found)
    return Identity.from_text("\n".join([*roots, line]), origin)


def _rows(text: str) -> list[str]:
    """The lines that hold groups; what else stands on the paper need not be typed, and does no harm."""
    return [line for line in map(str.strip, text.splitlines()) if _ROW.fullmatch(line)]


def _groups_in(line: str) -> Iterator[_Group]:
    for typed in _TYPED.finditer(line):
        number = typed["number"]
        yield _Group(int(number) if number else 0, typed["group"].upper(), typed["check"].upper())


def _complaint(place: int, group: _Group) -> str:
    """What is wrong with a group; empty where nothing is."""
    for character in group.text + group.check:
        if character not in ALPHABET:
            meant = f" ({_LOOK_ALIKES[character]}?)" if character in _LOOK_ALIKES else ""
            return f"group {place} has the character {character!r}, which is in no group{meant}"
    expected = GROUPS[place - 1]
    if len(group.text) != expected:
        return f"group {place} has {len(group.text)} characters instead of {expected}, and one after the slash"
    if check_character(place, group.text) != group.check:
        return f"group {place} is mistyped"
    return ""

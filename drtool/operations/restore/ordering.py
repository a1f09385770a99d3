"""In which order the sources of a snapshot are restored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def restore_order(sources: Sequence[str], references: Iterable[tuple[str, str]]) -> list[str]:
    """What is referred to before what refers to it, else as in `sources`.

    `references` are pairs (which refers, to which). Those among sources that refer to one another in a circle, and
    those about others, count for nothing.
    """
    refers: dict[str, set[str]] = {name: set() for name in sources}
    for referring, referred in references:
        if referring in refers and referred in refers and referring != referred:
            refers[referring].add(referred)
    found: list[str] = []
    while len(found) < len(sources):
        left = [name for name in sources if name not in found]
        ready = [name for name in left if not _waits(name, refers, left)]
        found.append((ready or left)[0])
    return found


def _waits(name: str, refers: dict[str, set[str]], left: Collection[str]) -> bool:
    """Does it refer, over others too, to one of those that are left and that does not refer back to it?"""
    return any(other in left and name not in _reached(other, refers) for other in _reached(name, refers))


def _reached(name: str, refers: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for other in refers[ahead.pop()] - found:
            found.add(other)
            ahead.append(other)
    return found

"""What became of the streams of a snapshot while its log was replayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import RestoreItem, There


@dataclass(frozen=True, slots=True)
class Change:
    """A stream that is not there as the snapshot holds it: ``became`` is ``dropped``, ``renamed`` or ``emptied``.

    ``now`` is what the source called it at last, ``name`` what the target does; empty for what was dropped.
    """

    stream: str
    became: str
    now: str = ""
    name: str = ""

    def told(self) -> str:
        """As a sentence."""
        if self.became == "dropped":
            return f"{self.stream} is not there: it was dropped before that moment"
        if self.became == "renamed":
            return f"{self.stream} was renamed to {self.now} before that moment: it is {self.name}"
        return f"{self.name} is empty: the records of {self.stream} were deleted before that moment"


def changes(items: Sequence[RestoreItem], there: Sequence[There]) -> Iterator[Change]:
    """What became of each of `items`. One that was dropped and made anew under its name is there."""
    by_name = {each.item.stream.name: each for each in there}
    by_key = {_key(each.item.stream): each for each in there}
    for item in items:
        name = item.stream.name
        found = by_key.get(_key(item.stream)) or by_name.get(name)
        if found is None:
            yield Change(name, "dropped")
            continue
        now = found.item.stream.name
        if now != name:
            yield Change(name, "renamed", now, found.item.name)
        if item.records and not found.records:
            yield Change(name, "emptied", now, found.item.name)


def _key(stream: StreamInfo) -> tuple[str, str]:
    return (stream.identity, "") if stream.identity else ("", stream.name)

"""Which stream and field of a snapshot a path of the configuration means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from drtool.errors import UsageError
from drtool.repository.manifests import StreamEntry
from drtool.sources.base import Source


@dataclass(frozen=True, slots=True)
class Place:
    """A stream of the snapshot, its source, and a field of its records; empty where a path names the stream alone."""

    source: Source
    entry: StreamEntry
    field: str


def resolve(path: str, source: Source, entries: Sequence[StreamEntry]) -> Place:
    """What ``source.stream.field`` means, with the longest stream name that fits: both may have dots in them.

    `entries` are those of the source that have records. A stream whose full name has more in front (a tenant, say) may
    be named by its end, where one only answers to that. ``UsageError`` where none fits.
    """
    rest = path.partition(".")[2]
    by_name = {entry.name: entry for entry in entries if not entry.beside}
    words = rest.split(".")
    for length in range(len(words), 0, -1):
        name, field = ".".join(words[:length]), ".".join(words[length:])
        if name in by_name:
            return Place(source, by_name[name], field)
    for length in range(len(words), 0, -1):
        name, field = ".".join(words[:length]), ".".join(words[length:])
        fitting = [full for full in by_name if full.endswith(name) and source.matches(full, name)]
        if len(fitting) > 1:
            raise UsageError(f"{path}: {name} may be {' or '.join(sorted(fitting)[:3])}")
        if fitting:
            return Place(source, by_name[fitting[0]], field)
    near = [one for end in range(len(words), 0, -1) for one in get_close_matches(".".join(words[:end]), by_name, n=1)]
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{path}: {source.name} has no such stream in this snapshot{meant}")

"""The entries that drop a database, put together.

The server drops a database's collections one by one, an entry each, while nobody else can write to it, waits until the
majority has done so, and only then writes the entry ``dropDatabase``: whoever stops ahead of that one has an empty
database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from drtool.sources.log import At, LogEvent

#: So many seconds may lie between two drops of one command.
_APART = 1
_OF_RECORDS = frozenset({"insert", "update", "delete"})


@dataclass(slots=True)
class _Run:
    """Drops of one database that follow each other."""

    first: At
    last: At
    streams: set[str] = field(default_factory=set)
    count: int | None = 0

    def add(self, event: LogEvent) -> None:
        self.last = event.at
        self.streams.add(event.namespace)
        self.count = None if self.count is None or event.count is None else self.count + event.count


def whole_drops(events: Iterable[LogEvent]) -> Iterator[LogEvent]:
    """The same events, but each ``dropDatabase`` stands at the first of the drops directly before it, with the number
    of collections and of the records in them (None where the log does not say).

    Drops of other databases may lie in between. Of collections that somebody dropped by hand less than a second before
    nobody can tell that they were not part of it.
    """
    runs: dict[str, _Run] = {}
    for event in events:
        if event.op in _OF_RECORDS:
            yield event
            continue
        database = event.namespace.partition(".")[0]
        run = runs.get(database)
        if event.op == "drop":
            if run is None or event.at[0] - run.last[0] > _APART:
                run = runs[database] = _Run(event.at, event.at)
            run.add(event)
            yield event
            continue
        runs.pop(database, None)
        if event.op == "dropDatabase" and run is not None:
            event = replace(event, at=run.first, last=event.at, count=run.count, streams=len(run.streams))
        yield event

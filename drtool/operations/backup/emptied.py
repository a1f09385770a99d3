"""A source that holds nothing, where the job's last snapshot held something of it: is it the right one?

The data may be gone indeed, so that such a snapshot is taken. But nobody would look at it for an unmounted volume, or
for the wrong database, and every such snapshot pushes out one that holds something.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from drtool.operations.backup.inheriting import Before
from drtool.operations.overlaying import is_overlay
from drtool.repository.manifests import StreamEntry
from drtool.sources.reading import StreamInfo


def emptied_since(
    before: Before,
    source: str,
    streams: Mapping[str, StreamInfo],
    entries: Sequence[StreamEntry],
    empty: Collection[str],
) -> str:
    """The id of the snapshot in which a source held something last; empty where it holds something, and where it never
    did.

    `streams` are its own, by name, `entries` what was read of them, `empty` those that hold nothing though they have a
    record.
    """
    held = {entry.name: entry.records for entry in entries if _counts(entry) and not _is_ancillary(entry, streams)}
    if any(held.values()) and not empty:
        return ""
    last, known = before.last, before.source(source)
    if last is None or known is None:
        return ""
    if known.emptied:
        return known.emptied
    kinds = {stream.kind for stream in streams.values() if stream.ancillary}
    was = {
        entry.name: entry.records
        for entry in before.entries
        if entry.source == source and _counts(entry) and entry.kind not in kinds
    }
    lost = any(was.get(name, 0) > held.get(name, 0) for name in empty) if empty else any(was.values())
    return last.id if lost else ""


def warning(snapshot: str, empty: Sequence[str]) -> str:
    """What an operator should hear of it; `empty` as for `emptied_since`."""
    what = f"{', '.join(empty)} holds nothing" if empty else "it holds nothing"
    return (
        f"{what}, and snapshot {snapshot} held something of it: is its volume mounted, is it the right server and"
        " database? Retention keeps that snapshot as long as this lasts"
    )


def _counts(entry: StreamEntry) -> bool:
    return entry.has_records and not entry.beside and not is_overlay(entry)


def _is_ancillary(entry: StreamEntry, streams: Mapping[str, StreamInfo]) -> bool:
    return entry.name in streams and streams[entry.name].ancillary

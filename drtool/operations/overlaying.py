"""Overlays: what a restore replays over streams whose parts are of several instants (docs/format.md, "Overlays")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drtool.operations.contents import Contents
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.sources.base import Source
from drtool.sources.reading import Consistency

if TYPE_CHECKING:
    from drtool.sources.restoring import Replayed, RestorePlan, Target

#: Stands in the point of a source with an overlay: the point of the oldest instant that a part belongs to.
OVERLAY_SINCE = "overlay_since"
#: Tells `Target.replay` until when a record may be missing that an operation alters.
OVERLAY_UNTIL = "overlay_until"
#: The kind of the stream that holds an overlay. No stream of this kind is restored; it is replayed.
OVERLAY_KIND = "oplog"


def is_overlay(entry: StreamEntry) -> bool:
    """Is this stream an overlay, and none of the source's own?"""
    return entry.kind == OVERLAY_KIND and entry.consistency == Consistency.OVERLAY


def replay_from(origin: SourceEntry) -> Mapping[str, Any] | None:
    """The point to replay from, as `Target.replay` takes it; None for a source without an overlay."""
    since = origin.point.get(OVERLAY_SINCE)
    return None if since is None else {**since, OVERLAY_UNTIL: origin.point["cluster_time"]}


def overlay_of(contents: Contents, source: Source) -> list[StreamEntry]:
    """The overlay of a source of a snapshot, if it has one."""
    return [entry for entry in contents.streams() if entry.source == source.name and is_overlay(entry)]


def replay_overlay(contents: Contents, source: Source, target: Target, plan: RestorePlan) -> Replayed | None:
    """Bring the loaded streams to the snapshot's instant: after all were loaded, before `Target.finish`.

    None where there is no overlay, and so nothing to do.
    """
    origin = next(origin for origin in contents.manifest.sources if origin.name == source.name)
    since = replay_from(origin)
    if since is None:
        return None
    records = (data for entry in overlay_of(contents, source) for data in contents.records(entry))
    return target.replay(plan, since, records, None)

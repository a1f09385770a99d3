"""Made-up snapshots, with no repository around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from drtool.operations.catalogue import Known
from drtool.operations.retention.guards import Surroundings
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.evidence import Reached
from drtool.repository.ids import new_id
from drtool.repository.levels import Level
from drtool.repository.manifests import Manifest, SourceEntry, Statistics
from drtool.repository.pins import Pin
from drtool.repository.presence import Registered

ORIGIN = "0f" * 16


def snapshot(
    taken: datetime,
    number: int,
    *,
    job: str = "nightly",
    sources: Iterable[str] = ("app",),
    suspects: Iterable[tuple[int, int]] = (),
    tags: Iterable[str] = (),
    signer: bytes = b"host1",
) -> Snapshot:
    """A snapshot that was taken at a time; its hash tells its signer and number."""
    instant = taken.isoformat()
    manifest = Manifest(
        snapshot=new_id(taken),
        repository=ORIGIN,
        job=job,
        number=number,
        previous=None,
        previous_snapshot=None,
        created=instant,
        run="",
        host="host1",
        tool="",
        consistency="exact",
        proof="identical",
        instant=instant,
        sources=tuple(
            SourceEntry(name, "mongodb", "6", "replica-set", "", instant, "exact", {}, ()) for name in sources
        ),
        stream_count=0,
        stream_chunks=(),
        statistics=Statistics(0, 0, 0, 0, 0, 0, 0.0),
        suspects=tuple(suspects),
        tags=tuple(tags),
    )
    return Snapshot(manifest, signer, f"{signer.hex()}-{job}-{number}", 0)


def around(
    snapshots: Sequence[Snapshot],
    now: datetime,
    *,
    levels: Mapping[str, Level] | None = None,
    failed: Iterable[str] = (),
    pins: Sequence[Pin] = (),
    running: Sequence[Registered] = (),
    stored: Mapping[str, datetime] | None = None,
) -> Surroundings:
    """What is known of them: the levels reached, whose last verification failed, and when they were stored, by id."""
    bad = set(failed)
    found = {
        s.hash: Reached((levels or {}).get(s.id, Level.NONE), None, None, s.id in bad)
        for s in snapshots
        if s.id in bad or s.id in (levels or {})
    }
    return Surroundings(Known(Catalogue(tuple(snapshots), ()), found, ()), pins, running, now, stored or {})

"""What a backup would read, without reading it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drtool.sources.base import Source
from drtool.sources.reading import Consistency


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a backup of one source would read, as far as the source can say without reading."""

    source: str
    version: str
    topology: str
    consistency: Consistency
    streams: int
    records: int
    bytes: int
    warnings: tuple[str, ...]


def forecast(sources: Sequence[Source]) -> Iterator[Forecast]:
    """What a backup would read. Reads the catalogues and nothing else."""
    for source in sources:
        probe = source.probe()
        with contextlib.closing(source.prepare(None)) as prepared, contextlib.closing(prepared.freeze()) as view:
            streams = view.streams()
        yield Forecast(
            source=source.name,
            version=probe.version,
            topology=probe.topology,
            consistency=probe.consistency,
            streams=len(streams),
            records=sum(stream.estimated_records for stream in streams),
            bytes=sum(stream.estimated_bytes for stream in streams),
            warnings=probe.warnings,
        )

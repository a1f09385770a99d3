"""A source in memory of which streams complete others, and a target and an export layout for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from drtool.sources.base import Probe
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.plain import PlainExporter, PlainSource, PlainTarget
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan
from tests.operations.memory import MemorySource, MemoryView


class JoinedSource(PlainSource):
    """Streams of ``memory`` whose names have a ``#`` complete those before it. What was restored or exported is in
    ``written``, by name; ``together`` are the names that came by one call; of ``loses`` a record is not written.
    ``owners`` are the targets that hold it just now."""

    def __init__(self, name: str = "app") -> None:
        self.name, self.type = name, "memory"
        self.memory = MemorySource(name)
        self.written: dict[str, bytes] = {}
        self.together: list[tuple[str, ...]] = []
        self.loses = ""
        self.owners = 0

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        return self.memory.probe()

    def prepare(self, previous: Mapping[str, Any] | None) -> JoinedSource:
        """See ``Source.prepare``."""
        return self

    def freeze(self) -> JoinedView:
        """See ``Prepared.freeze``."""
        self.memory.views += 1
        return JoinedView(self.memory, self.memory.views)

    def target(self, uri: str | None) -> JoinedTarget:
        """See ``Source.target``."""
        self.owners += 1
        return JoinedTarget(self)

    def exporter(self, place: ExportPlace) -> JoinedExporter:
        """See ``Source.exporter``."""
        return JoinedExporter(self)

    def write(self, names: Sequence[str], streams: Sequence[Iterable[bytes]]) -> list[Loaded]:
        """Write streams side by side, a chunk of each in turn."""
        self.together.append(tuple(names))
        parts: list[list[bytes]] = [[] for _ in streams]
        for chunks in zip_longest(*streams, fillvalue=b""):
            for part, chunk in zip(parts, chunks, strict=True):
                part.append(chunk)
        data = [b"".join(part) for part in parts]
        self.written |= dict(zip(names, data, strict=True))
        return [
            Loaded(one.count(b"\n") - (name == self.loses), len(one)) for name, one in zip(names, data, strict=True)
        ]


class JoinedView(MemoryView):
    """See `JoinedSource`."""

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``."""
        return [
            replace(info, beside=info.name.partition("#")[0]) if "#" in info.name else info
            for info in super().streams()
        ]


class JoinedTarget(PlainTarget):
    """See `JoinedSource`."""

    def __init__(self, source: JoinedSource) -> None:
        self._source = source

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        return Inspection("memory", tuple(item.name for item in plan.items if item.name in self._source.written))

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``: there is nothing to make."""

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        return self._source.write([item.name], [chunks])[0]

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """See ``Target.load_joined``."""
        return self._source.write([item.name, *(one.name for one, _ in beside)], [chunks, *(two for _, two in beside)])

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``."""
        return {}

    def close(self) -> None:
        """See ``Target.close``."""
        self._source.owners -= 1


class JoinedExporter(PlainExporter):
    """See `JoinedSource`."""

    layout, concurrent = "memory", True

    def __init__(self, source: JoinedSource) -> None:
        self._source = source

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``: the last ones first."""
        return items[::-1]

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Exporter.write``."""
        return self._source.write([item.stream.name], [chunks])[0]

    def write_joined(
        self, item: ExportItem, chunks: Iterable[bytes], beside: Sequence[tuple[ExportItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """See ``Exporter.write_joined``."""
        names = [item.stream.name, *(one.stream.name for one, _ in beside)]
        return self._source.write(names, [chunks, *(two for _, two in beside)])

    def finish(self) -> Sequence[str]:
        """See ``Exporter.finish``."""
        return ()

"""A source of JSON lines in memory that can be restored, with proofs, errors and fields of a test's choosing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drtool.errors import UsageError
from drtool.sources.base import MISSING, Compared, Probe, Sandbox
from drtool.sources.cutting import Chunk, CutRule, Record, cut
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.plain import PlainSource, PlainTarget, PlainView
from drtool.sources.reading import Consistency, KeyRange, Proof, Settled, StreamInfo
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan

Held = dict[str, list[bytes]]
"""Lines by stream."""


@dataclass
class LinesSource(PlainSource):
    """``held`` are the records of streams; `proofs` those that are not identical. `after_restoring` may change what a
    sandbox holds, `freezes` is called while the instant is fixed, `found_worse` are the regressions of every copy."""

    name: str
    held: Held = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    comparison: Callable[[list[bytes], list[bytes]], Compared] | None = None
    after_restoring: Callable[[Held], None] = lambda held: None
    freezes: Callable[[], None] = lambda: None
    instant: datetime | None = None
    found_worse: tuple[str, ...] = ()
    points: list[Mapping[str, Any]] = field(default_factory=list)
    boxes: dict[str, Held] = field(default_factory=dict)
    type: str = "lines"

    def put(self, stream: str, *records: Mapping[str, Any]) -> LinesSource:
        """Add records, of which each has an ``id``."""
        self.held.setdefault(stream, []).extend(json.dumps(record).encode() + b"\n" for record in records)
        return self

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        return Probe(self.type, "1.0", "memory", "", Consistency.EXACT)

    def prepare(self, previous: Mapping[str, Any] | None) -> LinesSource:
        """See ``Source.prepare``."""
        return self

    def freeze(self) -> LinesView:
        """See ``Prepared.freeze``."""
        self.freezes()
        return LinesView(self, {name: list(lines) for name, lines in self.held.items()})

    def target(self, uri: str | None) -> LinesTarget:
        """See ``Source.target``."""
        return LinesTarget(self, self.held if uri is None else self.boxes[uri])

    @contextlib.contextmanager
    def sandbox(self, version: str, directory: Path) -> Iterator[Sandbox]:
        """See ``Source.sandbox``."""
        self.boxes[str(directory)] = {}
        yield _Box(str(directory))
        del self.boxes[str(directory)]

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        return "memory"

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return ()

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return {}

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``."""
        if self.comparison is None:
            return super().compare(stream, expected, restored)
        lines = (b"".join(chunks).splitlines() for chunks in (expected, restored))
        return self.comparison(*lines)

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """See ``Source.regressions``."""
        self.points += [before, restored]
        return self.found_worse

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """See ``Source.values``."""
        if path == "impossible":
            raise UsageError(f"{stream.name} can have no {path}")
        for chunk in chunks:
            for line in chunk.splitlines():
                value: Any = json.loads(line)
                for word in path.split("."):
                    value = value.get(word, MISSING) if isinstance(value, dict) else MISSING
                yield value

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return ((_key(line), line) for line in chunk.splitlines(keepends=True))

    def exporter(self, place: ExportPlace) -> Exporter:
        """See ``Source.exporter``."""
        raise UsageError("none")


@dataclass(frozen=True)
class _Box:
    uri: str


class LinesView(PlainView):
    """A copy (``drtool.sources.reading.View``)."""

    def __init__(self, source: LinesSource, held: Held) -> None:
        self._source, self._held = source, held
        self.instant = source.instant or datetime.now(UTC)
        self._settled = False

    @property
    def point(self) -> Mapping[str, Any]:
        """Whether it was settled before."""
        return {"settled": self._settled}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``."""
        return [
            StreamInfo(
                name,
                "lines",
                self._source.proofs.get(name, Proof.IDENTICAL),
                b"",
                estimated_records=len(lines),
                estimated_bytes=sum(map(len, lines)),
            )
            for name, lines in sorted(self._held.items())
        ]

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        yield from cut(((_key(line), line) for line in sorted(self._held[stream.name], key=_key)), rule)

    def settle(self) -> Settled:
        """See ``View.settle``."""
        self._settled = True
        return Settled(Consistency.EXACT)

    def close(self) -> None:
        """Nothing is held."""


class LinesTarget(PlainTarget):
    """Where lines are put (``drtool.sources.restoring.Target``)."""

    def __init__(self, source: LinesSource, held: Held) -> None:
        self._source, self._held = source, held

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        return Inspection("memory")

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        self._held.update({item.name: [] for item in plan.items})

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        lines = [line for chunk in chunks for line in chunk.splitlines(keepends=True)]
        self._held[item.name] += lines
        return Loaded(len(lines), sum(map(len, lines)))

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``."""
        self._source.after_restoring(self._held)
        return {}

    def read_back(self, plan: RestorePlan) -> LinesView:
        """See ``Target.read_back``."""
        originals = {item.name: item.stream.name for item in plan.items}
        return LinesView(self._source, {originals.get(name, name): lines for name, lines in self._held.items()})

    def close(self) -> None:
        """Nothing is held."""


def _key(line: bytes) -> bytes:
    return str(json.loads(line)["id"]).encode()

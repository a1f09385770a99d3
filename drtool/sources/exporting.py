"""The contract of exporting: streams written in a system's own layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Loaded


@dataclass(frozen=True, slots=True)
class ExportItem:
    """One stream to be exported. ``records`` and ``bytes`` are what the manifest says."""

    stream: StreamInfo
    records: int
    bytes: int


class ByteSink(Protocol):
    """Takes bytes in order: a new file, or standard output."""

    def write(self, data: bytes, /) -> None:
        """Take all of `data`. Raises ``OSError``."""


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where an export goes: an empty `directory`, or one `archive`; the other is None.

    ``shown`` is what the operator calls it. ``version`` is that of the system the snapshot was taken of.
    """

    shown: str
    version: str
    directory: Path | None = None
    archive: ByteSink | None = None


class Exporter(Protocol):
    """Writes streams in a system's own layout. Raises ``OSError`` where the place does not take them; what is
    incomplete then is for the caller to remove, and to sync what is complete."""

    @property
    def layout(self) -> str:
        """The name of the layout, for scripts (``mongorestore-directory``)."""

    @property
    def concurrent(self) -> bool:
        """May `write` be called from several threads, for different streams?"""

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """Write what comes before all records. Returns the items in the order in which `write` is to take them.

        ``ExportError`` where one of them has no place in the layout; nothing was written then.
        """

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """Write a stream: all of its records, in order; none of one that has none."""

    def write_joined(
        self, item: ExportItem, chunks: Iterable[bytes], beside: Sequence[tuple[ExportItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """`write` for a stream with those that complete it (``StreamInfo.beside``). Returns what was written of `item`,
        then of each in `beside`."""

    def finish(self) -> Sequence[str]:
        """Write what comes after all records. Returns sentences that say how to read it without drtool."""

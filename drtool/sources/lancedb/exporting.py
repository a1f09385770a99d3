"""Export as the engine itself has it: a directory that LanceDB opens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from drtool.sources.exporting import ExportItem
from drtool.sources.lancedb.files import SUFFIX
from drtool.sources.lancedb.writing import write
from drtool.sources.plain import PlainExporter
from drtool.sources.restoring import Loaded


class LanceExporter(PlainExporter):
    """Writes tables (``drtool.sources.exporting.Exporter``)."""

    layout = "lancedb-directory"
    concurrent = True

    def __init__(self, directory: Path, shown: str) -> None:
        self._directory, self._shown = directory, shown

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        return items

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Exporter.write``."""
        return write(self._directory / f"{item.stream.name}{SUFFIX}", chunks)

    def finish(self) -> Sequence[str]:
        """See ``Exporter.finish``."""
        return (f"Open it in Python: lancedb.connect({self._shown!r}).open_table(NAME)",)

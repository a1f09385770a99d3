"""mongorestore's archive, version 0.1: a prelude with all metadata, then one collection after the other.

A collection is a segment with its documents, then one without any that says EOF and bears the CRC-64/XZ of them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bson
from bson.int64 import Int64
from fastcrc import crc64

from drtool import __version__
from drtool.sources.exporting import ByteSink, ExportItem
from drtool.sources.mongodb.exporting.dumped import AUTH_VERSION, Dumped, dumped
from drtool.sources.mongodb.exporting.flattening import Flattened
from drtool.sources.mongodb.exporting.reading_back import how_to_restore
from drtool.sources.mongodb.exporting.records import count_records
from drtool.sources.plain import PlainExporter
from drtool.sources.restoring import Loaded

MAGIC = bytes.fromhex("6de29981")
TERMINATOR = b"\xff\xff\xff\xff"


class ArchiveExporter(PlainExporter):
    """See ``drtool.sources.exporting.Exporter``. `shown` is what the operator calls the file."""

    layout = "mongorestore-archive"
    concurrent = False

    def __init__(self, sink: ByteSink, version: str, shown: str) -> None:
        self._sink, self._version, self._shown = sink, version, shown
        self._plan: dict[str, Dumped] = {}
        self._open: Dumped | None = None
        self._crc = 0

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """The prelude. Users and roles come first, the oplog last."""
        plan = dumped(items)
        self._plan = {one.item.stream.name: one for one in plan if one.item is not None}
        header = {
            "concurrent_collections": 1,
            "version": "0.1",
            "server_version": self._version,
            "tool_version": f"drtool {__version__}",
        }
        announced = {(one.database, one.collection): one for one in plan}
        prelude = b"".join(map(_announcement, announced.values()))
        self._sink.write(MAGIC + bson.encode(header) + prelude + TERMINATOR)
        for one in plan:
            if one.item is None:
                self._put(one, [AUTH_VERSION])
        return [one.item for one in plan if one.item is not None]

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A stream; those that go to the same collection come one after the other."""
        one = self._plan[item.stream.name]
        if not one.is_overlay:
            return self._put(one, chunks)
        flattened = Flattened(item, self._plan.values())
        self._put(one, flattened.entries(chunks))
        return flattened.read

    def finish(self) -> Sequence[str]:
        """The end of the last collection, and how to restore it all."""
        self._end()
        return how_to_restore(self._plan.values(), self._shown, archive=True)

    def _put(self, one: Dumped, chunks: Iterable[bytes]) -> Loaded:
        if self._open is None or (self._open.database, self._open.data) != (one.database, one.data):
            self._end()
            self._open, self._crc = one, 0
        records = size = 0
        for chunk in chunks:
            if not size:
                self._sink.write(_segment(one))
            self._sink.write(chunk)
            self._crc = crc64.xz(chunk, self._crc)
            records += count_records(chunk)
            size += len(chunk)
        if size:
            self._sink.write(TERMINATOR)
        return Loaded(records, size)

    def _end(self) -> None:
        """A collection without records consists of this alone; a view is one."""
        if self._open is not None:
            self._sink.write(_segment(self._open, self._crc) + TERMINATOR)
            self._open = None


def _announcement(one: Dumped) -> bytes:
    return bson.encode(
        {
            "db": one.database,
            "collection": one.collection,
            "metadata": one.metadata,
            "size": one.size,
            "type": one.type,
        }
    )


def _segment(one: Dumped, crc: int | None = None) -> bytes:
    """The header of a segment; with `crc` that of the last one."""
    signed = 0 if crc is None else int.from_bytes(crc.to_bytes(8), signed=True)
    return bson.encode({"db": one.database, "collection": one.data, "EOF": crc is not None, "CRC": Int64(signed)})

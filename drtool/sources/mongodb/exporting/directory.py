"""mongorestore's directory: a directory for each database, ``.bson`` and ``.metadata.json`` for each collection."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_plus

from drtool import __version__
from drtool.errors import ExportError
from drtool.sources.exporting import ExportItem
from drtool.sources.mongodb.exporting.dumped import AUTH_VERSION, Dumped, dumped
from drtool.sources.mongodb.exporting.flattening import Flattened
from drtool.sources.mongodb.exporting.reading_back import how_to_restore
from drtool.sources.mongodb.exporting.records import count_records
from drtool.sources.plain import PlainExporter
from drtool.sources.restoring import Loaded

_LONGEST = 238
_KEPT_OF_LONG = 208


class DirectoryExporter(PlainExporter):
    """See ``drtool.sources.exporting.Exporter``. `shown` is what the operator calls the directory."""

    layout = "mongorestore-directory"
    concurrent = True

    def __init__(self, directory: Path, version: str, shown: str) -> None:
        self._directory, self._version, self._shown = directory, version, shown
        self._plan: dict[str, Dumped] = {}
        self._accounts = threading.Lock()

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """The databases' directories and all metadata."""
        plan = dumped(items)
        for one in plan:
            _refuse_lost_name(one)
        self._plan = {one.item.stream.name: one for one in plan if one.item is not None}
        prelude = {"ServerVersion": self._version, "ToolVersion": f"drtool {__version__}"}
        self._put("prelude.json", json.dumps(prelude).encode())
        for one in plan:
            if one.database:
                (self._directory / one.database).mkdir(mode=0o700, exist_ok=True)
            if one.metadata:
                self._put(f"{one.database}/{file_name(one.collection)}.metadata.json", one.metadata.encode())
            if one.item is None:
                self._put(_data_file(one), AUTH_VERSION)
        return sorted(items, key=lambda item: -item.bytes)

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A file of records; a view has none. Accounts of several databases may share one."""
        one = self._plan[item.stream.name]
        if not item.stream.has_records:
            return Loaded(0, 0)
        if one.is_overlay:
            flattened = Flattened(item, self._plan.values())
            self._append(one, flattened.entries(chunks))
            return flattened.read
        if one.is_account:
            with self._accounts:
                return self._append(one, chunks)
        return self._append(one, chunks)

    def finish(self) -> Sequence[str]:
        """How to restore it."""
        return how_to_restore(self._plan.values(), self._shown, archive=False)

    def _append(self, one: Dumped, chunks: Iterable[bytes]) -> Loaded:
        records = size = 0
        with _opened(self._directory / _data_file(one)) as file:
            for chunk in chunks:
                file.write(chunk)
                records += count_records(chunk)
                size += len(chunk)
        return Loaded(records, size)

    def _put(self, name: str, data: bytes) -> None:
        with _opened(self._directory / name) as file:
            file.write(data)


def file_name(collection: str) -> str:
    """A collection's name as a file's, without its suffix: as Go's ``url.QueryEscape`` has it, and not too long."""
    escaped = quote_plus(collection)
    if len(escaped) <= _LONGEST:
        return escaped
    digest = base64.urlsafe_b64encode(hashlib.sha1(collection.encode(), usedforsecurity=False).digest())
    return f"{escaped[:_KEPT_OF_LONG]}%24{digest.decode().rstrip('=')}"


def _data_file(one: Dumped) -> str:
    if one.is_overlay:
        return "oplog.bson"
    # mongodump leaves the dollar sign of these as it is
    name = one.collection if one.is_account else file_name(one.data)
    return f"{one.database}/{name}.bson"


def _refuse_lost_name(one: Dumped) -> None:
    """mongorestore looks a shortened name up in the file's own metadata, which a time series' buckets do not have."""
    if one.type == "timeseries" and file_name(one.data) != quote_plus(one.data):
        raise ExportError(
            f"{one.database}.{one.collection}: the name is too long for a time series in this layout",
            hint="Export to one file instead: --archive FILE.",
        )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file

"""Plain files: each tree in a directory of the export, as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from drtool.sources.exporting import ExportItem
from drtool.sources.files.naming import place_of, refuse_overlaps
from drtool.sources.files.placing import Place
from drtool.sources.files.records import decode, split
from drtool.sources.plain import PlainExporter
from drtool.sources.restoring import Loaded


class FilesExporter(PlainExporter):
    """Writes trees below a directory (``drtool.sources.exporting.Exporter``): ``/srv/app`` to ``srv/app``."""

    layout = "files"
    concurrent = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._places: list[Place] = []

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        refuse_overlaps(item.stream.name for item in items)
        for item in items:
            place_of(item.stream.name, self._directory)
        return items

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Exporter.write``. ``IncompleteRestoreError`` names a file that cannot be written."""
        path = place_of(item.stream.name, self._directory)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        place = Place(holder, os.fsencode(path.name), str(path), strict=False)
        self._places.append(place)
        records = size = 0
        try:
            with place.writing() as writing:
                for chunk in chunks:
                    for data in split(chunk):
                        writing.write(decode(data), data)
                        records += 1
                    size += len(chunk)
            if records == item.records:
                place.complete()
        finally:
            place.close()
        return Loaded(records, size)

    def finish(self) -> Sequence[str]:
        """See ``Exporter.finish``."""
        notes = ["The files are as they were; cp -a or rsync -aHAX take them to where they belong."]
        for place in self._places:
            for names, what in (
                (place.unset.owners, "belong to this account: only root may give files their owners"),
                (place.unset.attributes, "lack some extended attributes"),
                (place.unset.devices, "are missing: only root may make devices"),
            ):
                if names.count:
                    notes.append(f"{place.shown_as}: {names} {what}")
        return notes

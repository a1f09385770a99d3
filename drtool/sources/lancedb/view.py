"""A database of which every table stands at one version."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from drtool.errors import InstantMovedError, SourceError
from drtool.sources.cutting import Chunk, CutRule, cut_part
from drtool.sources.lancedb import engine, files
from drtool.sources.lancedb.changing import find_changes
from drtool.sources.lancedb.definitions import Definition
from drtool.sources.lancedb.files import Version
from drtool.sources.lancedb.freezing import Frozen
from drtool.sources.lancedb.manifest import manifest_path
from drtool.sources.lancedb.searching import recalls
from drtool.sources.plain import PlainView
from drtool.sources.reading import Base, Changes, Consistency, KeyRange, Proof, Settled, StreamInfo
from drtool.sources.vectors.recall import RECALL

KIND = "lance-table"
#: Smaller parts are not worth a reader of their own.
PART_BYTES = 24 * 1024 * 1024
#: How many tables a point names; those beyond are read whole each time. A manifest holds 64 KiB.
_NAMED = 200


class LanceView(PlainView):
    """A view (``drtool.sources.reading.View``).

    `names` gives the streams' names where they are not the tables'. `previous` is the point of the snapshot before: how
    well search found what was there is not measured again for a version that it has the figures of.
    """

    def __init__(
        self,
        frozen: Frozen,
        *,
        names: Mapping[str, str] | None = None,
        previous: Mapping[str, Any] | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._frozen = frozen
        self._previous = previous or {}
        self._part_bytes = part_bytes
        self._versions = {(names or {}).get(each.name, each.name): each for each in frozen.versions}
        self._definitions: dict[str, Definition] = {}
        self._recall: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def instant(self) -> datetime:
        """See ``View.instant``: by this host's clock."""
        return self._frozen.at

    @property
    def point(self) -> Mapping[str, Any]:
        """``tables``: version and digest of the manifest by name; after `settle` also ``recall``."""
        tables = {name: [each.manifest.version, each.digest] for name, each in sorted(self._versions.items())[:_NAMED]}
        return {"tables": tables, RECALL: self._recall} if self._recall else {"tables": tables}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``: a stream for each table."""
        return [
            StreamInfo(
                name=name,
                kind=KIND,
                proof=Proof.IDENTICAL,
                definition=self._definition(name).encode(),
                identity=name,  # a table has none of its own; what is kept of it is taken over by digest only
                estimated_records=version.parts,
                estimated_bytes=version.bytes,
            )
            for name, version in sorted(self._versions.items())
        ]

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """See ``View.split``."""
        return files.split(self._versions[stream.name], parts, self._part_bytes)

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        version = self._versions[stream.name]
        ends = part.upper is None or part.strict
        beyond = iter(()) if ends else files.read(version, KeyRange(lower=part.upper))
        return cut_part(files.read(version, part), beyond, rule)

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """See ``View.changes``: by the manifests of both versions, where the earlier one is still there."""
        return find_changes(since, self._versions, bases)

    def settle(self) -> Settled:
        """See ``View.settle``. Versions do not change; what is left is to see how well search works."""
        warnings = []
        if self._frozen.apart:
            warnings.append(
                f"Tables were written to all the time: their versions lie up to {self._frozen.apart:.3f} s apart, each"
                " of them whole."
            )
        figures: dict[str, float] = {}
        for name, version in sorted(self._versions.items())[:_NAMED]:
            try:
                figures |= self._known(name) or recalls(name, version, self._definition(name))
            except SourceError as error:
                if not isinstance(error, InstantMovedError) and self._is_there(version):
                    raise
                warnings.append(f"{name}: that version is cleaned up already, so how well search works is not known.")
        self._recall = figures
        return Settled(Consistency.EXACT, warnings=tuple(warnings))

    def close(self) -> None:
        """Nothing is held."""

    def _definition(self, name: str) -> Definition:
        with self._lock:
            if name not in self._definitions:
                self._definitions[name] = self._described(self._versions[name])
            return self._definitions[name]

    def _described(self, version: Version) -> Definition:
        manifest = version.manifest
        try:
            return engine.describe(
                version.directory.parent, version.name, manifest.version, manifest.storage, manifest.writer
            )
        except SourceError as error:
            if self._is_there(version):
                raise
            raise InstantMovedError(
                f"table {version.name}: version {manifest.version} was cleaned up while it was read"
            ) from error

    def _known(self, name: str) -> dict[str, float]:
        version = self._versions[name]
        if self._previous.get("tables", {}).get(name) != [version.manifest.version, version.digest]:
            return {}
        of_table = {f"{name}.{column}" for index in self._definition(name).indexes for column in index.columns}
        return {key: value for key, value in self._previous.get(RECALL, {}).items() if key in of_table}

    @staticmethod
    def _is_there(version: Version) -> bool:
        return (version.directory / manifest_path(version.directory, version.manifest.version)).exists()

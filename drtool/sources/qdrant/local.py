"""qdrant-client's local mode, read: a copy of its files, made while nothing is committed to any of them.

Local mode keeps ``meta.json``, and for each collection an SQLite file in ``collection/NAME``. Its own lock, which an
application holds as long as it runs, does not matter here: a read transaction on every file at once is one instant.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from drtool.errors import SourceError, UnreachableError
from drtool.sources.cutting import Record
from drtool.sources.qdrant.addresses import Kind
from drtool.sources.qdrant.definitions import Definition, by_name, plain
from drtool.sources.qdrant.paging import in_order
from drtool.sources.qdrant.pickles import read_id, read_point
from drtool.sources.qdrant.points import Point, PointId, VectorRecords, item_record
from drtool.sources.qdrant.scratch import Scratch
from drtool.sources.qdrant.stores import Selection, Standing
from drtool.sources.reading import Consistency
from drtool.sources.vectors.records import key_of

_META, COLLECTIONS, _FILE = "meta.json", "collection", "storage.sqlite"
#: How often the list of collections is read anew when it changes under our hands.
_ATTEMPTS = 5
#: How long somebody else's commit is waited for (seconds).
_PATIENCE = 10.0


def find_collections(directory: Path) -> list[str]:
    """Their names, sorted. ``UnreachableError`` where there is no such directory."""
    return sorted(_meta(directory)["collections"])


class LocalReader:
    """See ``drtool.sources.qdrant.stores.Reader``. `files` are copies that nobody writes to. Searching is brute force
    here, so there is no recall to measure."""

    def __init__(self, meta: Mapping[str, Any], files: Mapping[str, Path], release: Callable[[], None]) -> None:
        self._meta = meta
        self._files = files
        self._release: Callable[[], None] | None = release

    def standing(self) -> Standing:
        """See ``Reader.standing``."""
        return Standing(Consistency.EXACT)

    def collections(self) -> Sequence[str]:
        """See ``Reader.collections``."""
        return sorted(self._files)

    def definition(self, name: str) -> Definition:
        """See ``Reader.definition``."""
        config = dict(plain(self._meta["collections"][name]))
        config["vectors"] = by_name(config.get("vectors"))
        indexes = {
            field: {**schema, "type": "text"}
            for field, schema in plain(self._meta.get("text_indexes", {})).get(name, {}).items()
        }
        aliases = [alias for alias, held in self._meta.get("aliases", {}).items() if held == name]
        return Definition(Kind.LOCAL, config, indexes, tuple(sorted(aliases)))

    def count(self, name: str) -> int:
        """See ``Reader.count``."""
        with self._opened(name) as file:
            return len(_rows(file))

    def sample(self, name: str, count: int) -> Sequence[Point]:
        """See ``Reader.sample``."""
        return list(islice(self._points(name), count))

    def items(self, name: str) -> Iterator[Record]:
        """See ``Reader.items``."""
        return in_order(name, map(item_record, self._points(name)))

    def vectors(self, name: str) -> Iterator[Record]:
        """See ``Reader.vectors``."""
        made = VectorRecords(name, self.definition(name).sizes)
        return in_order(name, map(made.record, self._points(name)))

    def search(self, name: str, vector: str, query: Sequence[float], limit: int) -> Sequence[PointId] | None:  # noqa: ARG002
        """See ``Reader.search``."""
        return None

    def close(self) -> None:
        """See ``Reader.close``."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def _points(self, name: str) -> Iterator[Point]:
        with self._opened(name) as file:
            for row in _rows(file):
                [data] = file.execute("SELECT point FROM points WHERE rowid = ?", (row,)).fetchone()
                yield read_point(data)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[sqlite3.Connection]:
        with _translated(f"reading {name}"), contextlib.closing(_open(self._files[name])) as file:
            yield file


def copy_local(directory: Path, selection: Selection) -> LocalReader:
    """A copy of the selected collections at one instant."""
    for _ in range(_ATTEMPTS):
        meta = _meta(directory)
        names = [name for name in sorted(meta["collections"]) if selection.takes(name)]
        with _translated("copying the collections"), contextlib.ExitStack() as stack:
            files = {name: stack.enter_context(_standing_still(directory, name)) for name in names}
            if _meta(directory) == meta:
                return _copied(meta, files)
    raise SourceError(
        f"the collections in {directory} change all the time: none of {_ATTEMPTS} attempts found them standing still"
    )


def _copied(meta: Mapping[str, Any], files: Mapping[str, sqlite3.Connection]) -> LocalReader:
    scratch = Scratch()
    try:
        copies = {}
        for number, (name, file) in enumerate(files.items()):
            copies[name] = scratch.path / f"{number}.sqlite"
            with contextlib.closing(sqlite3.connect(copies[name])) as copy:
                file.backup(copy)
        return LocalReader(meta, copies, scratch.close)
    except BaseException:
        scratch.close()
        raise


@contextlib.contextmanager
def _standing_still(directory: Path, name: str) -> Iterator[sqlite3.Connection]:
    """A collection's file to which nobody commits meanwhile; whoever wants to waits."""
    path = directory / COLLECTIONS / name / _FILE
    if not path.exists():
        raise SourceError(f"{name}: {path} is not there", hint="Open the directory with a newer qdrant-client once.")
    with contextlib.closing(_open(path)) as file:
        file.execute("BEGIN")
        file.execute("SELECT count(*) FROM points").fetchone()
        yield file


def _open(path: Path) -> sqlite3.Connection:
    """To read, and from several threads one after the other."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE, check_same_thread=False)


def _rows(file: sqlite3.Connection) -> list[int]:
    """The rows in the order of their ids; of several with the same id, which older versions wrote, the last."""
    newest: dict[bytes, int] = {}
    for row, key in file.execute("SELECT rowid, id FROM points ORDER BY rowid"):
        newest[key_of(read_id(key))] = row
    return [newest[key] for key in sorted(newest)]


def _meta(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / _META).read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreachableError(
            f"there is no local mode of qdrant-client to be read: {error}",
            hint="Check path in the source's settings: it is what the application gives QdrantClient(path=…).",
        ) from error
    except ValueError as error:
        raise SourceError(f"{directory / _META} cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("collections"), dict):
        raise SourceError(f"{directory / _META} is not of qdrant-client's local mode")
    return found


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SourceError(
            f"{doing}: {error}", hint="The copy is made in TMPDIR; it needs as much room there."
        ) from error

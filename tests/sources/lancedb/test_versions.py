"""The files of a version are all that the engine needs of it; and what is read stays what it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import AuthenticationError, InstantMovedError, SourceError, UnreachableError
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.lancedb import LanceSource, files
from drtool.sources.lancedb.freezing import freeze
from drtool.sources.lancedb.view import LanceView
from drtool.sources.reading import WHOLE
from tests.sources.contract import CUT_KEY, back_up
from tests.sources.lancedb import zoo

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:optimize.cleanup_older_than=0")]

RULE = CutRule(CUT_KEY, 1 << 62, fine=True)
STEPS = st.lists(
    st.sampled_from(["add", "delete", "update", "index", "column", "compact", "clean up"]), min_size=1, max_size=5
)


def small(first: int, count: int) -> Any:
    """Rows with enough bytes for several chunks of a fine rule."""
    return zoo.pa.table({"id": range(first, first + count), "data": [os.urandom(400) for _ in range(count)]})


def step(table: Any, what: str, number: int) -> None:
    """One change."""
    if what == "add":
        table.add(small(number * 1000, 100).select(["id", "data"]))
    elif what == "delete":
        table.delete(f"id % 7 = {number}")
    elif what == "update":
        table.update(where=f"id % 5 = {number}", values={"data": b"changed"})
    elif what == "index":
        table.create_index("id", config=zoo.index.BTree())
    elif what == "column":
        table.add_columns({f"extra{number}": "id * 2"})
    elif what == "compact":
        table.optimize()
    else:
        table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)


@dataclass(frozen=True)
class OneGroup:
    """The chunks of an earlier view (``drtool.sources.reading.Base``)."""

    chunks: Sequence[Chunk]

    def firsts(self) -> Sequence[bytes]:
        """See ``Base``."""
        return [self.chunks[0].first]

    def bounds(self, group: int) -> Sequence[bytes]:
        """See ``Base``."""
        return [chunk.first for chunk in self.chunks]


def read(view: LanceView) -> list[Chunk]:
    """The only table of a view."""
    [stream] = view.streams()
    return list(view.chunks(stream, WHOLE, RULE))


@given(steps=STEPS)
@settings(max_examples=12)
def test_the_files_of_a_version_are_all_it_needs(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("source")
    table = zoo.connect(path).create_table("t", small(0, 300))
    for number, what in enumerate(steps):
        step(table, what, number)
    [version] = freeze(path, lambda name: True).versions
    copy = tmp_path_factory.mktemp("copy")
    for file in version.files:
        place = copy / "t.lance" / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(version.directory / file.path, place)
    assert zoo.rows_of(copy, "t").equals(zoo.rows_of(path, "t"))
    assert zoo.connect(copy).open_table("t").count_rows("id >= 0") == zoo.rows_of(path, "t").num_rows


@given(before=STEPS, after=STEPS)
@settings(max_examples=12)
def test_chunks_that_are_not_touched_are_as_they_were(
    before: list[str], after: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("source")
    table = zoo.connect(path).create_table("t", small(0, 300))
    for number, what in enumerate(before):
        step(table, what, number)
    earlier = LanceView(freeze(path, lambda name: True))
    chunks = read(earlier)
    for number, what in enumerate(after, len(before)):
        step(table, what, number)
    view = LanceView(freeze(path, lambda name: True))
    changes = view.changes(earlier.point, {"t": OneGroup(chunks)})
    if changes.full:
        assert "clean up" in after, "only a cleanup makes the earlier version unknown"
        return
    touched = changes.touched.get("t", {}).get(0, set())
    kept = {record for number, chunk in enumerate(chunks) if number not in touched for record in _each(chunk)}
    lost = {record for number, chunk in enumerate(chunks) if number in touched for record in _each(chunk)}
    now = {record for chunk in read(view) for record in _each(chunk)}
    assert kept <= now
    # What is there and was not lies where a touched chunk is: it is read again.
    bounds = [chunk.first for chunk in chunks]
    for key, _ in now - kept - lost:
        assert max(0, sum(first <= key for first in bounds) - 1) in touched


def test_what_a_cleanup_takes_away_moves_the_instant(tmp_path: Path) -> None:
    table = zoo.connect(tmp_path).create_table("t", small(0, 300))
    table.add(small(1000, 300))
    with closing(LanceView(freeze(tmp_path, lambda name: True))) as view:
        [stream] = view.streams()
        step(table, "clean up", 0)
        with pytest.raises(InstantMovedError, match="was removed while it was read"):
            list(view.chunks(stream, WHOLE, RULE))
        later = LanceView(freeze(tmp_path, lambda name: True))
        assert later.changes(view.point, {"t": OneGroup([Chunk(b"", 1, b"", b"")])}).full
        assert read(later)


def test_a_table_that_is_made_again_is_another_one(tmp_path: Path) -> None:
    database = zoo.connect(tmp_path)
    database.create_table("t", small(0, 300))
    with closing(LanceView(freeze(tmp_path, lambda name: True))) as view:
        chunks = read(view)
        database.drop_table("t")
        with pytest.raises(InstantMovedError):
            read(view)
        database.create_table("t", small(0, 300))
        again = LanceView(freeze(tmp_path, lambda name: True))
        assert again.point["tables"]["t"][0] == view.point["tables"]["t"][0]
        assert again.changes(view.point, {"t": OneGroup(chunks)}).full


def test_tables_that_are_written_to_all_the_time_are_told(tmp_path: Path) -> None:
    table = zoo.connect(tmp_path).create_table("t", small(0, 1))

    def takes(name: str) -> bool:
        table.add(small(1, 1))
        return True

    frozen = freeze(tmp_path, takes)
    assert frozen.apart > 0
    with closing(LanceView(frozen)) as view:
        assert any("apart" in warning for warning in view.settle().warnings)


@pytest.mark.parametrize("harm", ["lost", "cut short"])
def test_a_damaged_table_is_named(harm: str, tmp_path: Path) -> None:
    zoo.connect(tmp_path).create_table("t", small(0, 10))
    [file] = (tmp_path / "t.lance" / "data").glob("*.lance")
    if harm == "lost":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"table t.*is damaged") as caught:
        freeze(tmp_path, lambda name: True)
    assert not isinstance(caught.value, InstantMovedError)
    assert caught.value.hint


def test_what_may_not_be_listed_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.connect(tmp_path).create_table("t", small(0, 10))
    [file] = (tmp_path / "t.lance" / "data").glob("*.lance")
    beside = file.with_suffix("")
    beside.mkdir()
    (beside / "1.blob").write_bytes(b"x")
    scandir = os.scandir

    def refusing(place: str | Path) -> Any:
        if Path(place) == beside:
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)  # root may list everything
    with pytest.raises(AuthenticationError, match="may not be read"):
        freeze(tmp_path, lambda name: True)


def test_a_shallow_clone_is_refused_by_name(tmp_path: Path) -> None:
    database = zoo.connect(tmp_path)
    database.create_table("original", small(0, 10))
    database.clone_table("clone", str(tmp_path / "original.lance"))
    with pytest.raises(SourceError, match="table clone cannot be backed up: it uses files outside") as caught:
        freeze(tmp_path, lambda name: True)
    assert "exclude" in caught.value.hint
    with closing(LanceSource("s", path=tmp_path, exclude=["clone"])) as source:
        assert list(back_up(source)) == ["original"]


def test_large_values_beside_the_data_files_belong_to_it(tmp_path: Path) -> None:
    field = zoo.lancedb.blob("data")
    values = [os.urandom(10), os.urandom(100_000), os.urandom(5_000_000), None]
    kept = [None if value is None else {"data": value, "uri": None} for value in values]
    schema = zoo.pa.schema([zoo.pa.field("id", zoo.pa.int64()), field])
    column = zoo.pa.ExtensionArray.from_storage(field.type, zoo.pa.array(kept, field.type.storage_type))
    zoo.connect(tmp_path / "a").create_table("t", zoo.pa.table([zoo.pa.array(range(4)), column], schema=schema))
    [version] = freeze(tmp_path / "a", lambda name: True).versions
    assert sum(file.path.endswith(".blob") for file in version.files) == 2
    for file in version.files:
        place = tmp_path / "b" / "t.lance" / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(version.directory / file.path, place)
    table = zoo.connect(tmp_path / "b").open_table("t")
    assert table.fetch_blobs("data", table.search().with_row_id(True).to_arrow()).to_pylist() == values


@pytest.mark.parametrize(
    "option", [{"new_table_enable_v2_manifest_paths": "false"}, {"new_table_enable_stable_row_ids": "true"}]
)
def test_other_ways_of_keeping_tables(option: dict[str, str], tmp_path: Path) -> None:
    table = zoo.lancedb.connect(str(tmp_path), storage_options=option).create_table("t", small(0, 10))
    for number, what in enumerate(["add", "update", "delete", "index"]):
        step(table, what, number)
    [version] = freeze(tmp_path, lambda name: True).versions
    assert version.manifest.version == table.version
    manifests = [file.path for file in version.files if file.path.endswith(".manifest")]
    assert (manifests == [f"_versions/{table.version}.manifest"]) == ("new_table_enable_v2_manifest_paths" in option)


def test_what_cannot_be_backed_up_is_told(tmp_path: Path) -> None:
    database = zoo.connect(tmp_path)
    database.create_table("t", small(0, 10))
    database.create_namespace(["inner"])
    database.create_table("hidden", small(0, 10), namespace_path=["inner"])
    warnings = LanceSource("s", path=tmp_path, tables=["t", "gone"]).probe().warnings
    assert any("namespaces" in warning for warning in warnings)
    assert any("gone" in warning for warning in warnings)


def test_a_database_without_tables_is_told(tmp_path: Path) -> None:
    [warning] = LanceSource("s", path=tmp_path).probe().warnings
    assert "nothing is backed up" in warning
    zoo.connect(tmp_path).create_table("t", small(0, 1))
    assert LanceSource("s", path=tmp_path).probe().warnings == ()


def test_a_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreachableError, match="is no directory"):
        LanceSource("s", path=tmp_path / "file").probe()


def test_parts_are_of_one_size(tmp_path: Path) -> None:
    table = zoo.connect(tmp_path).create_table("t", small(0, 8000))
    table.add(small(10000, 8000))
    [version] = freeze(tmp_path, lambda name: True).versions
    assert len(files.split(version, 4, 1024 * 1024)) == 4
    assert len(files.split(version, 4, 1024 * 1024 * 1024)) == 1


def _each(chunk: Chunk) -> Iterator[tuple[bytes, bytes]]:
    return ((key, bytes(data)) for key, data in LanceSource.records(chunk.data))

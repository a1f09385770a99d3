"""What is around a restore: half ones, replaced ones, exports, values, how well search works."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import IncompleteRestoreError, TargetNotEmptyError, UsageError
from drtool.sources.base import MISSING
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.lancedb import LanceSource
from drtool.sources.lancedb.freezing import freeze
from drtool.sources.lancedb.staging import Staging
from drtool.sources.lancedb.view import LanceView
from drtool.sources.restoring import RestorePlan
from tests.sources.contract import Copy, back_up, load_all, plan_for, restore
from tests.sources.lancedb import zoo

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:optimize.cleanup_older_than=0")]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that tests only read."""
    path = tmp_path_factory.mktemp("original")
    zoo.fill(path)
    return path


@pytest.fixture(scope="module")
def copies(original: Path) -> Mapping[str, Copy]:
    """A backup of it."""
    return back_up(LanceSource("s", path=original))


def test_nobody_sees_a_table_before_it_is_whole(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    source = LanceSource("s", path=original)
    plan = plan_for(source, copies)
    with closing(source.target(str(tmp_path))) as target:
        target.begin(plan)
        load_all(target, plan, copies)
        assert zoo.connect(tmp_path).list_tables().tables == []
        target.finish(plan, lambda sentence: None)
    assert zoo.connect(tmp_path).list_tables().tables == sorted(item.name for item in plan.items)
    assert [place.name for place in tmp_path.iterdir() if not place.name.endswith(".lance")] == []
    for item in plan.items:
        assert zoo.rows_of(tmp_path, item.name).equals(zoo.rows_of(original, item.stream.name))


def test_indexes_serve_and_the_table_goes_on(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    source = LanceSource("s", path=original)
    restore(source.target(str(tmp_path)), plan_for(source, copies), copies)
    table = zoo.connect(tmp_path).open_table("docs_restored")
    before = zoo.connect(original).open_table("docs")
    query = zoo.rows_of(original, "docs")["vector"][7].as_py()
    assert table.search(query).limit(20).to_arrow().equals(before.search(query).limit(20).to_arrow())
    assert "ScalarIndexQuery" in table.search().where("id = 77").explain_plan()
    assert table.search("changed", query_type="fts").limit(5).to_arrow().num_rows == 5
    table.delete("id = 77")
    table.optimize()
    assert table.count_rows() == before.count_rows() - 1


def test_a_table_of_which_a_file_is_missing_does_not_appear(
    original: Path, copies: Mapping[str, Copy], tmp_path: Path
) -> None:
    source = LanceSource("s", path=original)
    plan = plan_for(source, {"docs": copies["docs"]})
    target = source.target(str(tmp_path))
    target.begin(plan)
    target.load(plan.items[0], [chunk.data for chunk in copies["docs"].chunks[:-1]])
    with pytest.raises(IncompleteRestoreError, match="docs_restored"):
        target.finish(plan, lambda sentence: None)
    assert zoo.connect(tmp_path).list_tables().tables == []


def test_interrupted_while_tables_get_their_names(
    original: Path, copies: Mapping[str, Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LanceSource("s", path=original)
    plan = plan_for(source, copies)
    target = source.target(str(tmp_path))
    target.begin(plan)
    load_all(target, plan, copies)
    publish = Staging.publish
    done: list[str] = []

    def once(staging: Staging, name: str, to: Path) -> None:
        if done:
            raise KeyboardInterrupt
        publish(staging, name, to)
        done.append(name)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Staging, "publish", once)
        target.finish(plan, lambda sentence: None)
    assert zoo.connect(tmp_path).list_tables().tables == done
    assert source.target(str(tmp_path)).inspect(RestorePlan(plan.items, "other")).occupied
    assert source.target(str(tmp_path)).inspect(plan).occupied == ()
    restore(source.target(str(tmp_path)), plan, copies)
    assert zoo.connect(tmp_path).list_tables().tables == sorted(item.name for item in plan.items)
    assert [place.name for place in tmp_path.iterdir() if not place.name.endswith(".lance")] == []


def test_in_place(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    zoo.connect(tmp_path).create_table("docs", zoo.documents(0, 3))
    source = LanceSource("s", path=tmp_path)
    items = tuple(replace(item, name="docs") for item in plan_for(source, {"docs": copies["docs"]}).items)
    target = source.target(None)
    with pytest.raises(TargetNotEmptyError, match="docs: 3 rows"):
        target.begin(RestorePlan(items, "marker"))
    restore(target, RestorePlan(items, "marker", replace=True), copies)
    assert zoo.rows_of(tmp_path, "docs").equals(zoo.rows_of(original, "docs"))
    assert [place.name for place in tmp_path.iterdir()] == ["docs.lance"]


@pytest.mark.parametrize("begun", [False, True])
def test_what_an_interrupted_restore_replaced_is_there_until_the_next_one_is_whole(
    begun: bool, original: Path, copies: Mapping[str, Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.connect(tmp_path).create_table("docs", zoo.documents(0, 3))
    source = LanceSource("s", path=tmp_path)
    items = tuple(replace(item, name="docs") for item in plan_for(source, {"docs": copies["docs"]}).items)
    plan = RestorePlan(items, "marker", replace=True)
    target = source.target(None)
    target.begin(plan)
    load_all(target, plan, copies)
    rename = Path.rename

    def interrupted(place: Path, to: Path) -> Path:
        moved = rename(place, to)
        if begun == (Path(to).name == "docs.lance"):
            raise KeyboardInterrupt
        return moved

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", interrupted)
        target.finish(plan, lambda sentence: None)
    again = source.target(None)
    with pytest.raises(TargetNotEmptyError, match="docs: 3 rows"):
        again.begin(replace(plan, replace=False))
    again.begin(plan)
    assert zoo.connect(tmp_path).open_table("docs").count_rows() == 3
    load_all(again, plan, copies)
    again.finish(plan, lambda sentence: None)
    assert zoo.rows_of(tmp_path, "docs").equals(zoo.rows_of(original, "docs"))


def test_what_is_left_of_a_restore_that_ended_claims_no_table(
    original: Path, copies: Mapping[str, Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LanceSource("s", path=original)
    plan = plan_for(source, {"docs": copies["docs"]})
    target = source.target(str(tmp_path))
    target.begin(plan)
    load_all(target, plan, {"docs": copies["docs"]})

    def interrupted(place: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("drtool.sources.lancedb.staging.shutil.rmtree", interrupted)
        target.finish(plan, lambda sentence: None)
    [name] = zoo.connect(tmp_path).list_tables().tables
    assert source.target(str(tmp_path)).inspect(plan).occupied
    with pytest.raises(TargetNotEmptyError, match=name):
        source.target(str(tmp_path)).begin(plan)
    assert zoo.connect(tmp_path).list_tables().tables == [name]


def test_what_is_no_table_is_never_replaced(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    (tmp_path / "docs.lance").mkdir()
    source = LanceSource("s", path=tmp_path)
    items = tuple(replace(item, name="docs") for item in plan_for(source, {"docs": copies["docs"]}).items)
    plan = RestorePlan(items, "marker", replace=True)
    assert len(source.target(None).inspect(plan).lasting) == 1
    with pytest.raises(TargetNotEmptyError, match="is no table"):
        source.target(None).begin(plan)


def test_a_name_that_the_engine_does_not_take(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    source = LanceSource("s", path=original)
    plan = plan_for(source, {"docs": copies["docs"]})
    wrong = RestorePlan((replace(plan.items[0], name="a/b"),), "marker")
    with pytest.raises(UsageError, match="is no name of a table"):
        source.target(str(tmp_path)).inspect(wrong)


def test_the_export_is_a_database(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    exporter = LanceSource("s", path=original).exporter(ExportPlace("shown", "0.40.0", directory=tmp_path))
    items = [
        ExportItem(copy.stream, sum(chunk.records for chunk in copy.chunks), len(copy.data)) for copy in copies.values()
    ]
    for item in exporter.begin(items):
        written = exporter.write(item, (chunk.data for chunk in copies[item.stream.name].chunks))
        assert (written.records, written.bytes) == (item.records, item.bytes)
    assert "shown" in exporter.finish()[0]
    for name in copies:
        assert zoo.rows_of(tmp_path, name).equals(zoo.rows_of(original, name))


def test_values_of_columns(original: Path, copies: Mapping[str, Copy]) -> None:
    source, docs = LanceSource("s", path=original), copies["docs"]
    chunks = [chunk.data for chunk in docs.chunks]
    rows = zoo.rows_of(original, "docs")
    assert list(source.values(docs.stream, chunks, "id")) == rows["id"].to_pylist()
    assert list(source.values(docs.stream, chunks, "metadata.doc_id")) == [
        row["doc_id"] for row in rows["metadata"].to_pylist()
    ]
    tags = [row["tags"] for row in rows["metadata"].to_pylist()]
    assert list(source.values(docs.stream, chunks, "metadata.tags")) == tags
    assert set(source.values(docs.stream, chunks, "metadata.none")) == {MISSING}
    with pytest.raises(UsageError, match="has no column nothing"):
        next(source.values(docs.stream, chunks, "nothing"))


def test_how_well_search_works_is_measured_once_for_a_version(original: Path) -> None:
    source = LanceSource("s", path=original)
    with closing(LanceView(freeze(original, lambda name: True))) as view:
        view.settle()
        measured = view.point["recall"]
    assert set(measured) == {"docs.vector", "cosine.v"}
    assert all(0 < value <= 1 for value in measured.values())
    invented = {**view.point, "recall": dict.fromkeys(measured, 0.5)}
    with closing(LanceView(freeze(original, lambda name: True), previous=invented)) as later:
        later.settle()
        assert later.point["recall"] == invented["recall"]
    assert source.regressions(view.point, view.point) == []
    assert len(source.regressions(view.point, {"recall": dict.fromkeys(measured, 0.0)})) == 2


def test_the_definition_tells_what_differs(copies: Mapping[str, Copy]) -> None:
    source, stream = LanceSource("s", path=Path("unused")), copies["docs"].stream
    other = source.differences(stream, copies["cosine"].stream)
    assert any("rows instead of" in text for text in other)
    assert any("schema differs" in text for text in other)
    assert sum("index" in text for text in other) >= 3
    shown = source.describe(stream.definition)
    assert shown["rows"] == zoo.ROWS
    assert {index["type"] for index in shown["indexes"]} == {"IvfPq", "BTree", "FTS"}

"""Shards of the embedded engine: who holds them, what they may hold, what comes back."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import IncompleteRestoreError, MissingToolError, SourceError, TargetNotEmptyError
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.qdrant import QdrantSource
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.edge import copy_shards
from drtool.sources.qdrant.edge_writing import EdgeWriter
from drtool.sources.qdrant.points import Point
from drtool.sources.qdrant.stores import Selection
from drtool.sources.qdrant.target import QdrantTarget
from drtool.sources.reading import Consistency, Proof
from drtool.sources.restoring import RestorePlan
from tests.sources.contract import Copy, back_up, check_restored, plan_for, read_all, restore

qdrant_edge = pytest.importorskip("qdrant_edge")

from tests.sources.qdrant import shards  # noqa: E402 - needs the engine

_HOLDER = """
import sys, qdrant_edge
shard = qdrant_edge.EdgeShard.load(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def source_of(directory: Path, *names: str) -> QdrantSource:
    return QdrantSource("vectors", Address(Kind.EDGE, str(directory)), collections=names)


def make(directory: Path, points: list[Any], vectors: dict[str, Any] | None = None, **more: Any) -> None:
    with closing(shards.create(directory, vectors or {"": shards.dense(4, "Dot")}, **more)) as shard:
        shard.update(qdrant_edge.UpdateOperation.upsert_points(points))


@contextmanager
def held(shard: Path) -> Iterator[None]:
    """Another process has it open."""
    command = [sys.executable, "-c", _HOLDER, str(shard)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"open\n"
        try:
            yield
        finally:
            process.stdin.close()
            process.wait()


def came_back(source: QdrantSource, copies: dict[str, Copy], directory: Path) -> None:
    plan = plan_for(source, copies)
    with source.sandbox(source.probe().version, directory) as box, closing(source.target(box.uri)) as target:
        restore(target, plan, copies)
        check_restored(source, target, plan, copies)


def test_a_shard_that_another_process_has_open_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "docs", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})])
    with held(tmp_path / "docs"):
        with pytest.raises(SourceError, match="another process has the shard") as caught:
            copy_shards(tmp_path, Selection(), patience=0.1)
        assert "close" in caught.value.hint
        with closing(source_of(tmp_path)) as source:
            assert any("docs" in warning for warning in source.probe().warnings)
    with closing(copy_shards(tmp_path, Selection())) as reader:
        assert reader.count("docs") == 1


def test_what_an_application_has_open_is_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "docs", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})])
    with closing(source_of(tmp_path)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        make(tmp_path / "docs_restored", [qdrant_edge.Point(7, [1.0, 2.0, 3.0, 4.0], {})])
        with held(tmp_path / "docs_restored"), closing(source.target(None)) as target:
            [sentence] = target.inspect(plan).occupied
            assert "another process" in sentence
            assert target.inspect(plan).lasting == (sentence,)
            for replace in (False, True):
                with pytest.raises(TargetNotEmptyError, match="another process"):
                    target.begin(RestorePlan(plan.items, plan.marker, replace))
    with shards.opened(tmp_path / "docs_restored") as shard:
        assert [point.id for point in shard.scroll(qdrant_edge.ScrollRequest(limit=5))[0]] == [7]


def test_the_copy_goes_with_the_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "shards" / "docs", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with closing(source_of(tmp_path / "shards")) as source, closing(source.prepare(None)) as prepared:
        with closing(prepared.freeze()) as view:
            assert any(scratch.iterdir())
            assert read_all(view)
        assert not any(scratch.iterdir())


def test_a_shard_without_a_log_is_fuzzy_and_says_so(tmp_path: Path) -> None:
    make(tmp_path / "loose", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})], wal_enabled=False)
    make(tmp_path / "docs", [])
    with closing(source_of(tmp_path)) as source:
        probe = source.probe()
        assert probe.consistency is Consistency.FUZZY
        assert any("loose" in warning for warning in probe.warnings)
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            read_all(view)
            settled = view.settle()
    assert settled.consistency is Consistency.EXACT
    assert dict(settled.weaker) == dict.fromkeys(("loose", "loose#vectors"), Consistency.FUZZY)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_vector_that_is_no_number_is_named(tmp_path: Path, bad: float) -> None:
    make(tmp_path / "docs", [qdrant_edge.Point(5, [1.0, bad, 3.0, 4.0], {})])
    with closing(source_of(tmp_path)) as source, pytest.raises(SourceError, match=r"docs: the vector of point 5"):
        back_up(source)


def test_a_shard_named_instead_of_its_directory(tmp_path: Path) -> None:
    make(tmp_path / "docs", [])
    with closing(source_of(tmp_path / "docs")) as source, pytest.raises(SourceError) as caught:
        source.probe()
    assert f"edge: {tmp_path}" in caught.value.hint


def test_a_selection_leaves_out_and_tells_what_is_missing(tmp_path: Path) -> None:
    for name in ("docs_a", "docs_b", "other"):
        make(tmp_path / name, [])
    address = Address(Kind.EDGE, str(tmp_path))
    with closing(QdrantSource("v", address, collections=("docs_*", "gone"), exclude=("*_b",))) as source:
        assert list(back_up(source)) == ["docs_a", "docs_a#vectors"]
        assert any("gone" in warning for warning in source.probe().warnings)


def test_types_of_vectors_come_back(tmp_path: Path) -> None:
    types = qdrant_edge.VectorStorageDatatype
    vectors = {
        "": shards.dense(3, "Dot"),
        "bytes": shards.dense(3, "Cosine", datatype=types.Uint8),
        "half": shards.dense(3, "Cosine", datatype=types.Float16),
        "turbo": shards.dense(3, "Euclid", datatype=types.Turbo8),
    }
    points = [
        qdrant_edge.Point(number, {name: [1.0 + number, 2.0, 30.0] for name in vectors}, {}) for number in range(40)
    ]
    make(tmp_path / "from" / "docs", points, vectors)
    (tmp_path / "to").mkdir()
    with closing(source_of(tmp_path / "from")) as source:
        copies = back_up(source)
        assert copies["docs#vectors"].stream.proof is Proof.TOLERANT
        came_back(source, copies, tmp_path / "to")


def test_a_vector_further_off_than_tolerated_is_told(tmp_path: Path) -> None:
    half = {"": shards.dense(3, "Cosine", datatype=qdrant_edge.VectorStorageDatatype.Float16)}
    for number, third in enumerate((3.0, 3.1)):
        make(tmp_path / str(number) / "docs", [qdrant_edge.Point(1, [1.0, 2.0, third], {})], half)
    with closing(source_of(tmp_path / "0")) as one, closing(source_of(tmp_path / "1")) as other:
        wanted, found = back_up(one)["docs#vectors"], back_up(other)["docs#vectors"]
    compared = one.compare(wanted.stream, [wanted.data], [found.data])
    assert "point 1: the vector is another one" in compared.differences
    assert "tolerated" in one.compare(wanted.stream, [wanted.data], [wanted.data]).largest_error


def test_recall_is_measured_and_its_loss_told(tmp_path: Path) -> None:
    points = [qdrant_edge.Point(number, [float(number % 7), number / 3, 1.0, -number / 5], {}) for number in range(60)]
    make(tmp_path / "docs", points, {"": shards.dense(4, "Euclid")})
    with closing(source_of(tmp_path)) as source, closing(source.prepare(None)) as prepared:
        with closing(prepared.freeze()) as view:
            read_all(view)
            view.settle()
            point = view.point
        assert point["recall"] == {"docs": 1.0}
        assert list(source.regressions(point, point)) == []
        assert source.regressions(point, {"recall": {"docs": 0.5}})


def test_an_older_engine_is_refused_by_its_version(tmp_path: Path) -> None:
    with closing(source_of(tmp_path)) as source, pytest.raises(MissingToolError, match=r"99\.1"):
        source.sandbox_program("99.1.0")


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_shard_is_in_the_way_and_stays(tmp_path: Path, *, replace: bool) -> None:
    make(tmp_path / "shards" / "docs", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})])
    stranger = tmp_path / "home" / "docs_restored" / "letter"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("dear", encoding="utf-8")
    with closing(source_of(tmp_path / "shards")) as source:
        copies = back_up(source)
        plan = dataclasses.replace(plan_for(source, copies), replace=replace)
        with closing(source.target(f"edge:{tmp_path / 'home'}")) as target:
            for act in (target.inspect, target.begin):
                with pytest.raises(TargetNotEmptyError, match="not a shard") as caught:
                    act(plan)
                assert "--rename" in caught.value.hint
        assert stranger.read_text(encoding="utf-8") == "dear"
        stranger.unlink()
        with closing(source.target(f"edge:{tmp_path / 'home'}")) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)


def test_a_full_disk_ends_a_restore_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "docs", [qdrant_edge.Point(1, [1.0, 2.0, 3.0, 4.0], {})])
    with closing(source_of(tmp_path)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(f"edge:{tmp_path / 'restored'}")) as target:
            monkeypatch.setattr("drtool.sources.qdrant.edge_writing._LEAST_FREE", 1 << 62)
            with pytest.raises(IncompleteRestoreError, match="MiB free") as caught:
                restore(target, plan, copies)
            assert "room" in caught.value.hint
            monkeypatch.undo()
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)


class _Forgetful(EdgeWriter):
    """An engine that loses what it took."""

    def upsert(self, name: str, points: Sequence[Point]) -> None:
        super().upsert(name, points[1:])


def test_a_restore_of_fewer_points_is_no_success(tmp_path: Path) -> None:
    make(tmp_path / "docs", [qdrant_edge.Point(number, [1.0, 2.0, 3.0, 4.0], {}) for number in (1, 2)])
    with closing(source_of(tmp_path)) as source:
        copies = back_up(source)
        writer = _Forgetful(Address(Kind.EDGE, str(tmp_path / "restored")))
        with closing(QdrantTarget(writer)) as target, pytest.raises(IncompleteRestoreError, match=r"1 point\b.* 2"):
            restore(target, plan_for(source, copies), copies)


@pytest.mark.parametrize("indexed", [False, True])
def test_vectors_get_an_index_where_they_had_one(tmp_path: Path, *, indexed: bool) -> None:
    optimizers = qdrant_edge.EdgeOptimizersConfig(indexing_threshold=1)
    points = [qdrant_edge.Point(number, [float(number)] * 64, {}) for number in range(100)]
    make(tmp_path / "docs", points, {"": shards.dense(64, "Dot")}, optimizers=optimizers)
    if indexed:
        with shards.opened(tmp_path / "docs") as shard:
            shard.optimize()
    with closing(source_of(tmp_path)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(f"edge:{tmp_path / 'restored'}")) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)
    with shards.opened(tmp_path / "restored" / "docs_restored") as shard:
        assert (shard.info().indexed_vectors_count > 0) == indexed


def test_recall_is_measured_of_vectors_that_most_points_have(tmp_path: Path) -> None:
    def vectors(number: int) -> dict[str, list[float]]:
        one = [float(number), 1.0, 0.0, 0.0]
        return {"text": one} if number else {"text": one, "image": one}

    both = {name: shards.dense(4, "Euclid") for name in ("text", "image")}
    make(tmp_path / "docs", [qdrant_edge.Point(number, vectors(number), {}) for number in range(60)], both)
    with closing(source_of(tmp_path)) as source, closing(source.prepare(None).freeze()) as view:
        read_all(view)
        view.settle()
        assert view.point["recall"] == {"docs/text": 1.0}


def test_values_of_the_payload(tmp_path: Path) -> None:
    make(
        tmp_path / "docs", [qdrant_edge.Point(2, [0.0] * 4, {"doc": {"id": "a"}}), qdrant_edge.Point(3, [0.0] * 4, {})]
    )
    with closing(source_of(tmp_path)) as source:
        copy = back_up(source)["docs"]
        assert list(source.values(copy.stream, [copy.data], "id")) == [2, 3]
        [found, missing] = source.values(copy.stream, [copy.data], "payload.doc.id")
    assert found == "a"
    assert missing != "a"


def test_an_export_is_parquet_with_the_payload_as_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    make(tmp_path / "shards" / "docs", [qdrant_edge.Point(2, [1.0, 2.0, 3.0, 4.0], {"doc": "a"})])
    (tmp_path / "out").mkdir()
    with closing(source_of(tmp_path / "shards")) as source:
        copies = back_up(source)
        items, vectors = (
            ExportItem(copy.stream, sum(chunk.records for chunk in copy.chunks), len(copy.data))
            for copy in copies.values()
        )
        exporter = source.exporter(ExportPlace("out", source.probe().version, tmp_path / "out"))
        exporter.begin([items, vectors])
        exporter.write_joined(items, [copies["docs"].data], [(vectors, [copies["docs#vectors"].data])])
        exporter.finish()
    [file] = (tmp_path / "out" / "docs").iterdir()
    assert parquet.read_table(file).to_pylist() == [{"id": 2, "vector": [1.0, 2.0, 3.0, 4.0], "doc": "a"}]

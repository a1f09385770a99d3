"""Local mode: read while an application has it open, without running what its files hold."""

from __future__ import annotations

import json
import pickle
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest

from drtool.errors import SourceError, TargetNotEmptyError
from drtool.sources.qdrant import QdrantSource
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.pickles import read_point
from tests.sources.contract import back_up, check_restored, plan_for, read_all, restore

pytest.importorskip("qdrant_client")

from qdrant_client import models

from tests.sources.qdrant.local_mode import opened


def source_of(directory: Path) -> QdrantSource:
    return QdrantSource("vectors", Address(Kind.LOCAL, str(directory)))


def test_it_is_read_while_an_application_has_it_open(tmp_path: Path) -> None:
    with opened(tmp_path) as client:
        client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"a": 1})])
        with closing(source_of(tmp_path)) as source:
            first = back_up(source)
            client.upsert("docs", [models.PointStruct(id=2, vector=[1.0, 2.0], payload=None)])
            second = back_up(source)
            plan = plan_for(source, first)
            with closing(source.target(None)) as target, pytest.raises(SourceError, match="another process") as caught:
                target.begin(plan)
    assert caught.value.hint
    assert [sum(chunk.records for chunk in copy["docs"].chunks) for copy in (first, second)] == [1, 2]


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    harmful = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    with pytest.raises(SourceError, match=r"os\.system"):
        read_point(harmful)
    assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"nonsense", pickle.dumps({"id": 1}), pickle.dumps(models.PointVectors)])
def test_what_is_no_point_is_named(data: bytes) -> None:
    with pytest.raises(SourceError):
        read_point(data)


def test_the_last_of_several_rows_of_a_point_counts(tmp_path: Path) -> None:
    with opened(tmp_path) as client:
        client.create_collection("docs", models.VectorParams(size=1, distance=models.Distance.DOT))
        client.upsert("docs", [models.PointStruct(id=1, vector=[1.0], payload={"version": "old"})])
    newer = pickle.dumps(models.PointStruct(id=1, vector=[2.0], payload={"version": "new"}))
    key = b64encode(pickle.dumps(1, protocol=5)).decode()
    with closing(sqlite3.connect(tmp_path / "collection" / "docs" / "storage.sqlite")) as file, file:
        file.execute("INSERT INTO points VALUES (?, ?)", (key, newer))
    with closing(source_of(tmp_path)) as source:
        copy = back_up(source)["docs"]
    assert b"new" in copy.data
    assert sum(chunk.records for chunk in copy.chunks) == 1


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    with opened(tmp_path) as client:
        for name in ("docs[1]", "docs1"):
            client.create_collection(name, models.VectorParams(size=2, distance=models.Distance.DOT))
            client.upsert(name, [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"name": name})])
    with closing(source_of(tmp_path)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(f"path:{tmp_path / 'restored'}")) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)


def test_what_is_no_collection_is_in_the_way_and_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as client:
        client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT))
    stranger = tmp_path / "home" / "collection" / "docs_restored" / "letter"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("dear", encoding="utf-8")
    with closing(source_of(tmp_path / "store")) as source:
        plan = plan_for(source, back_up(source))
        with closing(source.target(f"path:{tmp_path / 'home'}")) as target:
            for act in (target.inspect, target.begin):
                with pytest.raises(TargetNotEmptyError, match="not a collection"):
                    act(plan)
    assert stranger.read_text(encoding="utf-8") == "dear"


def test_where_nothing_searches_by_an_index_no_recall_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as client:
        client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 2.0], payload=None)])
    with closing(source_of(tmp_path)) as source, closing(source.prepare(None).freeze()) as view:
        read_all(view)
        view.settle()
        assert view.point["recall"] == {}


@pytest.mark.parametrize("meta", ["", "[]", json.dumps({"collections": []})])
def test_a_damaged_list_of_collections_is_named(tmp_path: Path, meta: str) -> None:
    (tmp_path / "meta.json").write_text(meta, encoding="utf-8")
    with closing(source_of(tmp_path)) as source, pytest.raises(SourceError, match=r"meta\.json"):
        source.probe()


def test_a_vector_of_another_size_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as client:
        client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 2.0], payload=None)])
    with closing(sqlite3.connect(tmp_path / "collection" / "docs" / "storage.sqlite")) as file, file:
        file.execute("UPDATE points SET point = ?", (pickle.dumps(models.PointStruct(id=1, vector=[1.0])),))
    with closing(source_of(tmp_path)) as source, pytest.raises(SourceError, match="1 dimensions instead of 2"):
        back_up(source)

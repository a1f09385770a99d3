"""Vector collections as Parquet, read back by pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from drtool.errors import ExportError, IncompleteRestoreError, UsageError
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.reading import Proof, StreamInfo
from drtool.sources.restoring import Loaded
from drtool.sources.vectors.exporting import ParquetExporter, Shape, VectorKind, directory_name
from drtool.sources.vectors.records import VECTORS, Id, encode_item, encode_vectors

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
np = pytest.importorskip("numpy")

DENSE = Shape({"": VectorKind.DENSE}, "cosine", 4, frozenset({"metadata"}))

Row = tuple[Id, Mapping[str, Any], Mapping[str, Any]]


def exporter(directory: Path, shape: Shape) -> ParquetExporter:
    """One whose collections all have this shape."""
    return ParquetExporter(ExportPlace("out", "1", directory), "chroma", lambda stream: shape)


def item(name: str, records: int, beside: str = "") -> ExportItem:
    """A stream to be exported."""
    return ExportItem(StreamInfo(name, "collection", Proof.IDENTICAL, b"", beside=beside), records, 1)


def export(directory: Path, shape: Shape, name: str, rows: Sequence[Row], chunk: int = 2) -> Sequence[Loaded]:
    """Export one collection."""
    items = [encode_item(id_, fields)[1] for id_, fields, _ in rows]
    vectors = [encode_vectors(id_, found)[1] for id_, _, found in rows]
    to = exporter(directory, shape)
    main, beside = item(name, len(rows)), item(name + VECTORS, len(rows), name)
    assert [one.stream.name for one in to.begin([main, beside])] == [main.stream.name, beside.stream.name]
    cut = [range(at, min(at + chunk, len(rows))) for at in range(0, len(rows), chunk)]
    loaded = to.write_joined(
        main,
        (b"".join(bytes(items[n]) for n in part) for part in cut),
        [(beside, (b"".join(bytes(vectors[n]) for n in part) for part in cut))],
    )
    assert to.finish()
    return loaded


def vector(*values: float) -> bytes:
    """As records hold it."""
    return bytes(np.array(values, "<f4").tobytes())


def table(directory: Path, name: str) -> Any:
    """What another program reads."""
    return parquet.read_table(directory / directory_name(name) / "1.parquet")


def test_a_collection_is_a_table(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("a", {"document": "eins", "metadata": {"n": 1, "x": 1, "ok": True}}, {"": vector(1, 2, 3, 0.1)}),
        ("b", {"document": None, "metadata": {"n": 2, "x": 0.5, "mixed": "s"}}, {"": vector(4, 5, 6, 7)}),
        ("c", {"metadata": {"mixed": [1, {"deep": b"\0"}], "document": "beside"}}, {"": vector(8, 9, 10, 11)}),
    ]
    loaded = export(tmp_path, DENSE, "tenant/db/Bücher", rows)
    assert [one.records for one in loaded] == [3, 3]
    found = table(tmp_path, "tenant/db/Bücher").to_pydict()
    assert found["id"] == ["a", "b", "c"]
    assert [vector(*each) for each in found["vector"]] == [one[2][""] for one in rows]
    assert found["document"] == ["eins", None, None]
    assert found["metadata.document"] == [None, None, "beside"]
    assert found["n"] == [1, 2, None]
    assert found["x"] == [1.0, 0.5, None]
    assert found["ok"] == [True, None, None]
    assert [value and json.loads(value) for value in found["mixed"]] == [None, "s", [1, {"deep": "AA=="}]]


def test_the_index_beside_says_what_is_there(tmp_path: Path) -> None:
    export(tmp_path, DENSE, "docs", [("a", {}, {"": vector(1, 2, 3, 4)})])
    meta = json.loads((tmp_path / "VDF_META.json").read_text())
    assert meta["exported_from"] == "chroma"
    assert meta["id_column"] == "id"
    [one] = meta["indexes"]["docs"]
    assert (one["exported_vector_count"], one["dimensions"], one["metric"]) == (1, 4, "Cosine")
    assert one["vector_columns"] == ["vector"]
    assert (tmp_path / one["data_path"] / "1.parquet").is_file()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(
        meta["file_structure"]
    )


def test_named_sparse_and_absent_vectors(tmp_path: Path) -> None:
    shape = Shape(
        {"text": VectorKind.DENSE, "words": VectorKind.SPARSE, "many": VectorKind.OTHER, "id": VectorKind.DENSE}, "l2"
    )
    rows: list[Row] = [
        (1, {}, {"text": vector(1, 2), "many": [[1.0], [2.0]]}),
        (2, {}, {"words": {"indices": [3, 70000], "values": [0.5, 1.0]}, "id": vector(9)}),
    ]
    export(tmp_path, shape, "named", rows)
    found = table(tmp_path, "named").to_pydict()
    assert found["id"] == [1, 2]
    assert found["text"] == [[1.0, 2.0], None]
    assert found["words"] == [None, {"indices": [3, 70000], "values": [0.5, 1.0]}]
    assert found["many"] == ["[[1.0], [2.0]]", None]
    assert found["vector_id"] == [None, [9.0]]


def test_no_vector_hides_another(tmp_path: Path) -> None:
    shape = Shape({"": VectorKind.DENSE, "vector": VectorKind.SPARSE}, "l2")
    export(tmp_path, shape, "both", [(1, {}, {"": vector(1, 2), "vector": {"indices": [3], "values": [0.5]}})])
    found = table(tmp_path, "both").to_pydict()
    assert found["vector"] == [{"indices": [3], "values": [0.5]}]
    assert found["vector_"] == [[1.0, 2.0]]


def test_large_integers_stay_exact(tmp_path: Path) -> None:
    large, beyond = (1 << 53) + 1, Decimal128(str((1 << 64) - 1))
    rows: list[Row] = [
        (1, {"with_float": large, "alone": large, "beyond": beyond}, {"": vector(0, 0, 0, 0)}),
        (2, {"with_float": 0.5, "alone": 1, "beyond": 1}, {"": vector(0, 0, 0, 0)}),
    ]
    export(tmp_path, DENSE, "large", rows)
    found = table(tmp_path, "large").to_pydict()
    assert found["with_float"] == [str(large), "0.5"]
    assert found["alone"] == [large, 1]
    assert found["beyond"] == [str((1 << 64) - 1), "1"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, (1 << 64) - 1], [1, (1 << 64) - 1]),
        ([-5, 7], [-5, 7]),
        ([UUID(int=1), UUID(int=2)], [str(UUID(int=1)), str(UUID(int=2))]),
        ([1, UUID(int=2)], ["1", str(UUID(int=2))]),
    ],
)
def test_ids_are_integers_where_all_are(tmp_path: Path, ids: list[Id], expected: list[object]) -> None:
    export(tmp_path, DENSE, "ids", [(id_, {}, {"": vector(0, 0, 0, 0)}) for id_ in ids])
    assert table(tmp_path, "ids")["id"].to_pylist() == expected


def test_times_and_bytes(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    export(tmp_path, DENSE, "t", [("a", {"at": at, "raw": b"\0\xff", "who": UUID(int=7)}, {"": vector(1, 1, 1, 1)})])
    found = table(tmp_path, "t").to_pydict()
    assert (found["at"], found["raw"], found["who"]) == ([at], [b"\0\xff"], [str(UUID(int=7))])


def test_an_empty_collection_is_an_empty_table(tmp_path: Path) -> None:
    assert [one.records for one in export(tmp_path, DENSE, "none", [])] == [0, 0]
    assert table(tmp_path, "none").column_names == ["id", "vector"]


def test_more_rows_than_a_batch_holds(tmp_path: Path) -> None:
    rows: list[Row] = [(n, {"metadata": {"n": n}}, {"": vector(n, 0, 0, 1)}) for n in range(5000)]
    export(tmp_path, DENSE, "many", rows, chunk=700)
    found = table(tmp_path, "many")
    assert found["n"].to_pylist() == list(range(5000))
    assert [each[0] for each in found["vector"].to_pylist()] == list(range(5000))


def test_a_collection_without_vectors(tmp_path: Path) -> None:
    to = exporter(tmp_path, Shape({}, ""))
    one = item("plain", 2)
    to.begin([one])
    chunk = b"".join(bytes(encode_item(id_, {"n": 1})[1]) for id_ in ("a", "b"))
    assert to.write(one, [chunk]) == Loaded(2, len(chunk))
    to.finish()
    assert table(tmp_path, "plain").to_pydict() == {"id": ["a", "b"], "n": [1, 1]}


def test_streams_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    to = exporter(tmp_path, DENSE)
    main, beside = item("docs", 1), item("docs" + VECTORS, 1, "docs")
    to.begin([main, beside])
    items = [bytes(encode_item("a", {})[1])]
    vectors = [bytes(encode_vectors("b", {"": vector(1, 2, 3, 4)})[1])]
    with pytest.raises(IncompleteRestoreError, match="docs"):
        to.write_joined(main, items, [(beside, vectors)])


def test_what_arrow_cannot_hold_is_named(tmp_path: Path) -> None:
    shape = Shape({"": VectorKind.SPARSE}, "l2")
    with pytest.raises(ExportError, match="odd"):
        export(tmp_path, shape, "odd", [("a", {}, {"": {"indices": ["no number"], "values": [1.0]}})])


def test_one_archive_is_no_place_for_them() -> None:
    with pytest.raises(UsageError, match="directory"):
        ParquetExporter(ExportPlace("out", "1"), "chroma", lambda stream: DENSE)


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "über", "ü" * 200, "x" * 512])
def test_names_of_directories(name: str, tmp_path: Path) -> None:
    (tmp_path / directory_name(name)).mkdir()
    assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]

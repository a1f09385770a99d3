"""Vector stores: vectors per second out and in, beside a loop with the engine's client that does nothing else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from drtool.sources.base import Source
from drtool.sources.cutting import CutRule
from drtool.sources.extras import require
from drtool.sources.reading import WHOLE, StreamInfo, View
from drtool.sources.restoring import RestoreItem, RestorePlan, Target
from tests.bench.workload import DIMENSIONS

TITLE = "stores"
VECTORS = 4_000
_HEADINGS = ("", "engine out", "drtool out", "its time", "engine in", "drtool in", "its time")
_KEY = bytes(32)

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Store:
    """A store to measure. ``module`` is the engine's, without which it is left out.

    ``write`` makes a collection of these ids and vectors in an empty directory, ``read`` gets all of it and says how
    many there were; neither keeps anything open. ``source`` is drtool's view of the directory.
    """

    name: str
    module: str
    write: Callable[[Path, Sequence[str], Matrix], None]
    read: Callable[[Path], int]
    source: Callable[[Path], Source]


@dataclass(frozen=True, slots=True)
class _Copy:
    stream: StreamInfo
    chunks: tuple[bytes, ...]
    records: int


def _write_chroma(directory: Path, ids: Sequence[str], matrix: Matrix) -> None:
    with closing(_chroma_client(directory)) as client:
        collection = client.create_collection("bench", embedding_function=None)
        for first in range(0, len(ids), 1000):
            part = slice(first, first + 1000)
            collection.add(ids=ids[part], embeddings=matrix[part], metadatas=[{"id": id_} for id_ in ids[part]])


def _read_chroma(directory: Path) -> int:
    count = 0
    with closing(_chroma_client(directory)) as client:
        collection = client.get_collection("bench", embedding_function=None)
        ids = collection.get(include=[])["ids"]
        for first in range(0, len(ids), 64):
            count += len(collection.get(ids=ids[first : first + 64], include=["embeddings", "metadatas"])["ids"])
    return count


def _chroma_client(directory: Path) -> Any:
    import chromadb

    return chromadb.PersistentClient(str(directory), settings=chromadb.config.Settings(anonymized_telemetry=False))


def _chroma(directory: Path) -> Source:
    from drtool.sources.chroma import ChromaSource

    return ChromaSource("bench", str(directory))


def _write_qdrant(directory: Path, ids: Sequence[str], matrix: Matrix) -> None:
    import qdrant_edge

    (directory / "bench").mkdir()
    vectors = qdrant_edge.EdgeVectorParams(size=matrix.shape[1], distance=qdrant_edge.Distance.Cosine)
    config = qdrant_edge.EdgeConfig(vectors=vectors)
    with closing(qdrant_edge.EdgeShard.create(str(directory / "bench"), config)) as shard:
        for first in range(0, len(ids), 500):
            rows = zip(ids[first : first + 500], matrix[first : first + 500].tolist(), strict=True)
            points = [qdrant_edge.Point(int(id_, 16), row, {"id": id_}) for id_, row in rows]
            shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
        shard.optimize()


def _read_qdrant(directory: Path) -> int:
    import qdrant_edge

    count, offset = 0, None
    with closing(qdrant_edge.EdgeShard.load(str(directory / "bench"))) as shard:
        while True:
            request = qdrant_edge.ScrollRequest(offset=offset, limit=500, with_payload=True, with_vector=True)
            points, offset = shard.scroll(request)
            count += sum(isinstance(point.vector, list) and point.payload is not None for point in points)
            if offset is None:
                return count


def _qdrant(directory: Path) -> Source:
    from drtool.sources.qdrant import QdrantSource
    from drtool.sources.qdrant.addresses import Address, Kind

    return QdrantSource("bench", Address(Kind.EDGE, str(directory)))


def _write_lance(directory: Path, ids: Sequence[str], matrix: Matrix) -> None:
    pyarrow = require("pyarrow", "lancedb")
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(matrix.ravel()), matrix.shape[1])
    require("lancedb", "lancedb").connect(str(directory)).create_table(
        "bench", pyarrow.table({"id": list(ids), "vector": vectors})
    )


def _read_lance(directory: Path) -> int:
    return int(require("lancedb", "lancedb").connect(str(directory)).open_table("bench").to_arrow().num_rows)


def _lance(directory: Path) -> Source:
    from drtool.sources.lancedb import LanceSource

    return LanceSource("bench", path=directory)


def _milvus_address(directory: Path) -> Any:
    from drtool.sources.milvus.address import Address

    return Address(str(directory / "bench.db"))


def _write_milvus(directory: Path, ids: Sequence[str], matrix: Matrix) -> None:
    from drtool.sources.milvus.connection import Connection

    with closing(Connection(_milvus_address(directory), create=True)) as connection:
        connection.client.create_collection("bench", dimension=matrix.shape[1], id_type="string", max_length=20)
        for first in range(0, len(ids), 1000):
            rows = zip(ids[first : first + 1000], matrix[first : first + 1000].tolist(), strict=True)
            connection.client.insert("bench", [{"id": id_, "vector": row, "text": id_} for id_, row in rows])
        connection.client.flush("bench")


def _read_milvus(directory: Path) -> int:
    from drtool.sources.milvus.connection import Connection

    count = 0
    with closing(Connection(_milvus_address(directory))) as connection:
        connection.client.load_collection("bench")
        pages = connection.client.query_iterator("bench", batch_size=1000, output_fields=["*"])
        while page := pages.next():
            count += sum(len(row["vector"]) == DIMENSIONS for row in page)
        pages.close()
    return count


def _milvus(directory: Path) -> Source:
    from drtool.sources.milvus import MilvusSource

    return MilvusSource("bench", address=_milvus_address(directory))


STORES = (
    Store("chroma, embedded", "chromadb", _write_chroma, _read_chroma, _chroma),
    Store("qdrant, edge", "qdrant_edge", _write_qdrant, _read_qdrant, _qdrant),
    Store("lancedb", "lancedb", _write_lance, _read_lance, _lance),
    Store("milvus lite", "milvus_lite", _write_milvus, _read_milvus, _milvus),
)


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A table: a line for each store whose engine is installed."""
    count = max(200, round(VECTORS * scale))
    rows: list[Sequence[str]] = [_HEADINGS]
    for store in STORES:
        if find_spec(store.module) is None:
            rows.append((f"{store.name}: not installed", *[""] * (len(_HEADINGS) - 1)))
            continue
        found: dict[str, list[float]] = {}
        for _ in range(runs):
            with tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory:
                for name, seconds in _measured(store, count, Path(directory)):
                    found.setdefault(name, []).append(seconds)
        rows.append((store.name, *_cells(found, count)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    title = f"{count:,} vectors of {DIMENSIONS:,} dimensions, vectors per second"
    return "\n".join([title, *("  " + "  ".join(line).rstrip() for line in lines)])


def _measured(store: Store, count: int, directory: Path) -> Iterator[tuple[str, float]]:
    random = np.random.default_rng(1)
    matrix = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    ids = [f"{number:012x}" for number in random.permutation(count)]
    place = directory / "engine"
    place.mkdir()
    import_module(store.module)  # which may take seconds, and is no part of what is compared
    started = time.perf_counter()
    store.write(place, ids, matrix)
    yield "engine in", time.perf_counter() - started
    started = time.perf_counter()
    if store.read(place) != count:
        raise AssertionError(f"{store.name} gave not all of its vectors")
    yield "engine out", time.perf_counter() - started
    with closing(store.source(place)) as source:
        started = time.perf_counter()
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            copies = _read(view)
        yield "drtool out", time.perf_counter() - started
        box_place = directory / "sandbox"
        box_place.mkdir()
        with source.sandbox(source.probe().version, box_place) as box, closing(source.target(box.uri)) as target:
            started = time.perf_counter()
            _load(target, copies)
            yield "drtool in", time.perf_counter() - started


def _read(view: View) -> dict[str, _Copy]:
    copies = {}
    for stream in view.streams():
        average = stream.estimated_bytes / max(1, stream.estimated_records)
        chunks = tuple(view.chunks(stream, WHOLE, CutRule.for_average(_KEY, average, fine=stream.fine)))
        copies[stream.name] = _Copy(stream, tuple(one.data for one in chunks), sum(one.records for one in chunks))
    view.settle()
    return copies


def _load(target: Target, copies: Mapping[str, _Copy]) -> None:
    items = tuple(RestoreItem(one.stream, name, one.records, sum(map(len, one.chunks))) for name, one in copies.items())
    plan = RestorePlan(items, marker="bench")
    target.begin(plan)
    for item in (item for item in items if not item.stream.beside):
        beside = [each for each in items if each.stream.beside == item.stream.name]
        chunks = iter(copies[item.stream.name].chunks)
        if beside:
            target.load_joined(item, chunks, [(each, iter(copies[each.stream.name].chunks)) for each in beside])
        else:
            target.load(item, chunks)
    target.finish(plan, lambda sentence: None)


def _cells(found: Mapping[str, Sequence[float]], count: int) -> Iterator[str]:
    for way in ("out", "in"):
        for who in ("engine", "drtool"):
            yield f"{count / median(found[f'{who} {way}']):,.0f}"
        pairs = zip(found[f"drtool {way}"], found[f"engine {way}"], strict=True)
        yield f"{median(ours / theirs for ours, theirs in pairs):.2f} ×"

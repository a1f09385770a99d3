"""In place, what the configuration leaves out since the snapshot was taken is not replaced: it could not be saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.site import Site
from tests.servers.postgres import connected, shared
from tests.servers.postgres import database as new_database

YES = ("--in-place", "--yes-replace", "store")


@dataclass(frozen=True)
class _Store:
    """``settings`` are the source's, ``name`` is a stream's. ``put`` makes that stream hold so many records."""

    settings: Mapping[str, Any]
    name: str
    put: Callable[[int], None]
    count: Callable[[], int]


@contextlib.contextmanager
def _postgres(directory: Path) -> Iterator[_Store]:
    del directory
    server = shared()
    with new_database(server.uri) as name, connected(server.uri, name) as session:
        session.execute("CREATE TABLE kept (id int); CREATE TABLE left_out (id int)")

        def put(count: int) -> None:
            session.execute("TRUNCATE left_out")
            session.execute("INSERT INTO left_out SELECT * FROM generate_series(1, %s)", [count])

        def held() -> int:
            with connected(server.uri, name) as other:
                [(count,)] = other.execute("SELECT count(*) FROM left_out").fetchall()
            return int(count)

        settings = {"type": "postgres", "uri": server.uri, "databases": [name], "roles": "none"}
        yield _Store(settings, f"{name}.public.left_out", put, held)


@contextlib.contextmanager
def _qdrant(directory: Path) -> Iterator[_Store]:
    engine = pytest.importorskip("qdrant_edge")
    from tests.sources.qdrant import shards

    for name in ("kept", "left"):
        shards.create(directory / name, {"": shards.dense(4, "Dot")}).close()

    def put(count: int) -> None:
        with shards.opened(directory / "left") as shard:
            shard.update(engine.UpdateOperation.delete_points(list(range(10))))
            points = [engine.Point(number, [1.0] * 4, {}) for number in range(count)]
            shard.update(engine.UpdateOperation.upsert_points(points))

    def held() -> int:
        with shards.opened(directory / "left") as shard:
            return int(shard.count(engine.CountRequest(exact=True)))

    yield _Store({"type": "qdrant", "edge": str(directory)}, "left", put, held)


@contextlib.contextmanager
def _chroma(directory: Path) -> Iterator[_Store]:
    chromadb = pytest.importorskip("chromadb")

    @contextlib.contextmanager
    def collection() -> Iterator[Any]:
        settings = chromadb.config.Settings(anonymized_telemetry=False)
        with closing(chromadb.PersistentClient(str(directory), settings=settings)) as client:
            client.get_or_create_collection("kept", embedding_function=None)
            yield client.get_or_create_collection("left", embedding_function=None)

    def put(count: int) -> None:
        with collection() as found:
            if ids := found.get()["ids"]:
                found.delete(ids=ids)
            found.add(ids=[str(number) for number in range(count)], embeddings=[[1.0, 2.0]] * count)

    def held() -> int:
        with collection() as found:
            return int(found.count())

    yield _Store({"type": "chroma", "path": str(directory)}, "left", put, held)


@contextlib.contextmanager
def _lancedb(directory: Path) -> Iterator[_Store]:
    pytest.importorskip("lancedb")
    from tests.sources.lancedb import zoo

    def put(count: int) -> None:
        database = zoo.connect(directory)
        database.create_table("kept", zoo.documents(0, 1), mode="overwrite")
        database.create_table("left", zoo.documents(0, count), mode="overwrite")

    def held() -> int:
        return int(zoo.connect(directory).open_table("left").count_rows())

    yield _Store({"type": "lancedb", "path": str(directory)}, "left", put, held)


@contextlib.contextmanager
def _milvus(directory: Path) -> Iterator[_Store]:
    pytest.importorskip("milvus_lite")
    from tests.sources.milvus import zoo

    place = directory / "milvus.db"

    def put(count: int) -> None:
        with closing(zoo.connect(place)) as connection:
            for name in ("kept", "left"):
                connection.client.drop_collection(name)
                connection.client.create_collection(name, dimension=4)
                rows = [{"id": number, "vector": [1.0] * 4} for number in range(count)]
                connection.client.insert(name, rows)

    def held() -> int:
        with closing(zoo.connect(place)) as connection:
            connection.client.load_collection("left")
            return int(connection.client.query("left", output_fields=["count(*)"])[0]["count(*)"])

    yield _Store({"type": "milvus", "uri": str(place)}, "left", put, held)


def _configure(site: Site, store: _Store, *exclude: str) -> None:
    config = yaml.safe_load(site.config.read_text())
    config["sources"] = {"store": {**store.settings, "exclude": list(exclude)}}
    config["jobs"] = {"nightly": {"sources": ["store"]}}
    site.config.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    "opened",
    [
        _postgres,
        _qdrant,
        pytest.param(_chroma, marks=pytest.mark.heavy),
        pytest.param(_lancedb, marks=pytest.mark.heavy),
        pytest.param(_milvus, marks=pytest.mark.heavy),
    ],
)
def test_it_is_refused(tmp_path: Path, opened: Callable[[Path], AbstractContextManager[_Store]]) -> None:
    (tmp_path / "store").mkdir()
    with opened(tmp_path / "store") as store:
        site = Site(tmp_path, "", {}).set_up()
        _configure(site, store)
        store.put(3)
        site.backup()
        store.put(5)
        lines = site.ok("show", "latest")[:-1]
        [stream] = [each["name"] for each in lines if each["type"] == "stream" and each["name"].endswith(store.name)]
        _configure(site, store, stream)
        for options in (YES, ("--in-place", "--dry-run")):
            ended = site.drtool("restore", "latest", *options)
            refused = ended.code == 20 or ended.result.get("would_refuse")
            assert refused, ended.result
        assert f"{stream}: " in site.drtool("restore", "latest", *YES).result["error"]["message"]
        assert (store.count(), len(site.snapshots())) == (5, 1)
        _configure(site, store)
        site.ok("restore", "latest", *YES)
        assert store.count() == 3

"""What Milvus Lite does that a backup must not fall for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import InstantMovedError, SourceError, TargetNotEmptyError, UnreachableError, UsageError
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.milvus import MilvusSource
from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection
from drtool.sources.milvus.target import MilvusTarget
from drtool.sources.reading import WHOLE
from drtool.sources.restoring import RestorePlan
from tests.sources.contract import Copy, back_up, plan_for, restore, rule_of
from tests.sources.milvus import zoo

pytestmark = pytest.mark.heavy


def source_of(path: Path, *exclude: str) -> MilvusSource:
    """A database as a source."""
    return MilvusSource("s", address=Address(str(path)), exclude=exclude)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that tests only read."""
    path = tmp_path_factory.mktemp("original") / "app.db"
    with closing(zoo.connect(path)) as connection:
        zoo.fill(connection.client)
    return path


@pytest.fixture(scope="module")
def copies(original: Path) -> Mapping[str, Copy]:
    """A backup of it."""
    return back_up(source_of(original))


def test_in_place_with_aliases_and_partitions(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(zoo.connect(path)) as connection:
        connection.client.create_collection("texts", dimension=2)
    source = source_of(path)
    plan = plan_for(source, copies)
    plan = RestorePlan(tuple(replace(item, name=item.stream.name) for item in plan.items), "marker")
    with closing(source.target(None)) as target:
        with pytest.raises(TargetNotEmptyError, match="texts: 0 records"):
            target.begin(plan)
        plan = replace(plan, replace=True)
        restore(target, plan, copies)
        with closing(target.read_back(plan)) as view:
            found = {stream.name: stream for stream in view.streams()}
        for name, copy in copies.items():
            assert source.differences(copy.stream, found[name]) == []
    with closing(zoo.connect(path)) as connection, closing(zoo.connect(original)) as before:
        assert sorted(connection.client.list_collections()) == ["docs", "empty", "texts", "words"]
        assert connection.client.list_aliases("docs")["aliases"] == ["current"]
        assert connection.client.list_partitions("docs") == before.client.list_partitions("docs")
        assert zoo.listing(connection.client) == zoo.listing(before.client)
        [hits] = connection.client.search("words", data=["hello 3"], anns_field="sparse", limit=1, output_fields=["id"])
        assert hits[0]["id"] == 3


def _cut_off(target: MilvusTarget, plan: RestorePlan, copies: Mapping[str, Copy], after: int) -> None:
    """A restore that ends when so many collections have their names."""
    publish, done = MilvusTarget._publish, list[str]()

    def publishing(self: MilvusTarget, plan: RestorePlan, name: str) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        publish(self, plan, name)
        done.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MilvusTarget, "_publish", publishing)
        with pytest.raises(KeyboardInterrupt):
            restore(target, plan, copies)


@pytest.mark.parametrize("over", [False, True])
def test_one_that_was_cut_off_between_two_names_is_begun_anew(
    copies: Mapping[str, Copy], original: Path, tmp_path: Path, over: bool
) -> None:
    path = tmp_path / "app.db"
    few = {name: copy for name, copy in copies.items() if not name.startswith("docs")}
    source = source_of(path)
    items = tuple(replace(item, name=item.stream.name) for item in plan_for(source, few).items)
    plan = RestorePlan(items, "marker", replace=over)
    with closing(zoo.connect(path)) as connection:
        connection.client.create_collection("others", dimension=2)
        if over:
            connection.client.create_collection("words", dimension=2)
    with closing(source.target(None)) as target:
        _cut_off(target, plan, few, after=2)
    assert {stream for stream in back_up(source) if "#" not in stream} >= {"others"}
    assert not any(stream.startswith("drtool") for stream in back_up(source))
    with closing(source.target(None)) as target:
        another = replace(plan, marker="another", replace=False)
        assert len(target.inspect(another).occupied) == len(few) // 2
        if not over:
            assert target.inspect(plan).occupied == ()
        restore(target, plan, few)
    with closing(zoo.connect(path)) as connection, closing(zoo.connect(original)) as before:
        assert sorted(connection.client.list_collections()) == ["empty", "others", "texts", "words"]
        for name in ("empty", "texts", "words"):
            there = [each.client.get_collection_stats(name)["row_count"] for each in (connection, before)]
            assert there[0] == there[1]
    with closing(source.target(None)) as target:
        assert len(target.inspect(replace(plan, replace=False)).occupied) == len(few) // 2


def test_how_well_search_works_is_measured(original: Path) -> None:
    source = source_of(original)
    with closing(source.prepare(None).freeze()) as view:
        view.settle()
        measured = view.point["recall"]
    assert set(measured) == {"docs.v", "texts.v"}
    assert measured["texts.v"] == 1.0
    assert measured["docs.v"] > 0.9
    assert len(source.regressions(view.point, {"recall": {"docs.v": 0.5, "texts.v": 1.0}})) == 1


def test_a_collection_that_is_dropped_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(zoo.connect(path)) as connection:
        for name in ("one", "two"):
            connection.client.create_collection(name, dimension=2)
        with closing(source_of(path).prepare(None).freeze()) as view:
            [stream, *_] = view.streams()
            connection.client.drop_collection("one")
            with pytest.raises(InstantMovedError, match="one"):
                list(view.chunks(stream, WHOLE, rule_of(stream)))
            with pytest.raises(InstantMovedError, match="one"):
                view.settle()


def test_what_the_client_cannot_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(zoo.connect(path)) as connection:
        schema = connection.client.create_schema()
        schema.add_field("id", zoo.TYPES.INT64, is_primary=True)
        schema.add_field("v", zoo.TYPES.FLOAT_VECTOR, dim=2)
        schema.add_field("json", zoo.TYPES.JSON)
        connection.client.create_collection("bad", schema=schema)
        connection.client.insert("bad", [{"id": 1, "v": [1.0, 2.0], "json": '"text"'}])
    with pytest.raises(SourceError, match="reading bad: a JSON value cannot be read") as caught:
        source_of(path).prepare(None).freeze()
    assert "exclude" in caught.value.hint
    assert back_up(source_of(path, "bad")) == {}


def test_ids_that_the_clients_iterator_loses(copies: Mapping[str, Copy]) -> None:
    ids = list(
        MilvusSource("s", address=Address("unused.db")).values(copies["texts"].stream, _data(copies["texts"]), "key")
    )
    assert ids == sorted(zoo.TEXT_IDS, key=str.encode)


def test_a_path_without_a_database(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not exist"):
        source_of(tmp_path / "none.db").probe()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "volume.db").mkdir()  # nothing is mounted there
    with pytest.raises(UnreachableError, match="holds no Milvus Lite database") as caught:
        source_of(tmp_path / "volume.db").probe()
    assert "mounted" in caught.value.hint
    assert list((tmp_path / "volume.db").iterdir()) == []
    (tmp_path / "file.db").write_text("x")
    with pytest.raises(UnreachableError, match="cannot be opened") as caught:
        source_of(tmp_path / "file.db").probe()
    assert caught.value.hint


def test_a_database_beside_the_default_one(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(zoo.connect(path)) as connection:
        connection.client.create_collection("of_default", dimension=2)
    shop = MilvusSource("s", address=Address(str(path), database="shop"))
    with pytest.raises(UnreachableError, match="has no database shop") as caught:
        shop.probe()
    assert "default" in caught.value.hint
    with closing(Connection(Address(str(path), database="shop"), create=True)) as connection:
        connection.client.create_collection("of_shop", dimension=2)
        connection.client.insert("of_shop", [{"id": 1, "vector": [1.0, 2.0]}])
    for source, other in ((shop, "default"), (source_of(path), "shop")):
        [warning] = source.probe().warnings
        assert f"leaves out: {other}" in warning
    copies = back_up(shop)
    assert set(copies) == {"of_shop", "of_shop#vectors"}
    plan = plan_for(shop, copies)
    with closing(shop.target(str(tmp_path / "new.db"))) as target:
        restore(target, plan, copies)
        with closing(target.read_back(plan)) as view:
            assert {stream.name for stream in view.streams()} == set(copies)
    new = str(tmp_path / "new.db")
    assert MilvusSource("s", address=Address(new, database="shop")).probe().warnings == ()
    assert "nothing is backed up" in MilvusSource("s", address=Address(new)).probe().warnings[0]


def test_what_is_measured_has_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.sources.milvus.view._NAME_CHARACTERS", 12)
    path = tmp_path / "app.db"
    with closing(zoo.connect(path)) as connection:
        for name in ("one", "three"):
            connection.client.create_collection(name, dimension=2)
            connection.client.insert(name, [{"id": 1, "vector": [1.0, 2.0]}])
    with closing(source_of(path).prepare(None).freeze()) as view:
        view.settle()
        assert set(view.point["recall"]) == {"one.vector"}


@pytest.fixture
def closing_server() -> Iterator[int]:
    """A server that takes connections and closes them at the first byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed below
                    return
                with connection:
                    connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_server_that_answers_half_is_unreachable(closing_server: int) -> None:
    with pytest.raises(UnreachableError) as caught:
        MilvusSource("s", address=Address(f"http://127.0.0.1:{closing_server}", "user:secret")).probe()
    assert caught.value.hint
    assert "secret" not in caught.value.message


def test_names_that_milvus_does_not_take(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    source = source_of(original)
    items = tuple(replace(item, name="a-b") for item in plan_for(source, {"texts": copies["texts"]}).items)
    with pytest.raises(UsageError, match="is no name of a collection"):
        source.target(str(tmp_path / "x.db")).inspect(RestorePlan(items, "marker"))
    with pytest.raises(UsageError, match="is no address"):
        source.target("elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_the_export_is_parquet(original: Path, copies: Mapping[str, Copy], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    exporter = source_of(original).exporter(ExportPlace("shown", "3.2.2", directory=tmp_path))
    items = {
        name: ExportItem(copy.stream, sum(c.records for c in copy.chunks), len(copy.data))
        for name, copy in copies.items()
    }
    for item in exporter.begin([items[name] for name in copies]):
        if not item.stream.beside:
            name = item.stream.name
            beside = items[f"{name}#vectors"]
            exporter.write_joined(item, _data(copies[name]), [(beside, _data(copies[beside.stream.name]))])
    exporter.finish()
    table = parquet.read_table(tmp_path / "texts" / "1.parquet")
    assert table["id"].to_pylist() == sorted(zoo.TEXT_IDS, key=str.encode)
    assert len(table["v"][0]) == 4


def _data(copy: Copy) -> list[bytes]:
    return [chunk.data for chunk in copy.chunks]

"""A server's answers, as drtool understands them: against a stub, for no server can be had here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drtool.errors import (
    AuthenticationError,
    IncompleteRestoreError,
    InstantMovedError,
    SourceError,
    TargetNotEmptyError,
    UnreachableError,
)
from drtool.sources.qdrant import QdrantSource
from drtool.sources.qdrant.addresses import KEY_VARIABLE, Address, Kind
from drtool.sources.reading import Consistency, Proof
from tests.sources.contract import back_up, check_restored, plan_for, read_all, restore

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")

from qdrant_client import QdrantClient, models

from tests.sources.qdrant.stub import Stub, serving

KEY = "not-to-be-told"
POINTS = 60


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as found:
        yield found


@pytest.fixture
def filled(stub: Stub) -> Stub:
    """With a collection, an index and an alias, made through the REST interface."""
    with closing(QdrantClient(url=stub.url, check_compatibility=False)) as client:
        client.create_collection(
            "docs",
            vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
            sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            hnsw_config=models.HnswConfigDiff(m=8),
        )
        sparse = models.SparseVector(indices=[3, 7], values=[0.1, 0.25])
        points = [
            models.PointStruct(id=one, payload={"n": one}, vector={"dense": [1.0, one, 2.0, 3.0], "words": sparse})
            for one in range(POINTS)
        ]
        client.upsert("docs", points)
        client.create_payload_index("docs", "n", models.PayloadSchemaType.INTEGER)
        text = models.TextIndexParams(type=models.TextIndexType.TEXT, lowercase=True)
        client.create_payload_index("docs", "text", text)
        made = models.CreateAlias(collection_name="docs", alias_name="current")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])
    return stub


def source_of(stub: Stub, key: str | None = None) -> QdrantSource:
    return QdrantSource("vectors", Address(Kind.SERVER, stub.url, key))


def test_it_is_read_and_restored_into_the_embedded_engine(filled: Stub, tmp_path: Path) -> None:
    with closing(source_of(filled)) as source:
        probe = source.probe()
        assert (probe.version, probe.topology, probe.consistency) == ("1.17.0", "server", Consistency.FUZZY)
        copies = back_up(source)
        assert copies["docs#vectors"].stream.proof is Proof.TOLERANT
        plan = plan_for(source, copies)
        with source.sandbox(probe.version, tmp_path) as box, closing(source.target(box.uri)) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)


def test_it_is_restored_to_a_server(filled: Stub) -> None:
    with closing(source_of(filled)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(None)) as target:
            restore(target, plan, copies)
            with closing(target.read_back(plan)) as view:
                back = read_all(view)
            for name, copy in copies.items():
                assert source.compare(copy.stream, [copy.data], [back[name].data]).differences == ()
            [difference] = source.differences(copies["docs"].stream, back["docs"].stream)
            assert "current" in difference, "an alias stays with the collection that has it"
            with pytest.raises(TargetNotEmptyError, match="docs_restored: 60 points"):
                target.begin(plan_for(source, copies, "marker-2"))
    assert filled.configs["docs_restored"]["optimizers_config"]["indexing_threshold"] == 10_000
    assert filled.indexes["docs_restored"] == filled.indexes["docs"]
    assert sorted(filled.configs) == ["docs", "docs_restored"], "the mark is gone"


def test_a_server_that_is_not_there() -> None:
    nowhere = QdrantSource("vectors", Address(Kind.SERVER, "http://127.0.0.1:1"))
    with closing(nowhere) as source, pytest.raises(UnreachableError) as caught:
        source.probe()
    assert caught.value.hint


def test_a_key_that_is_not_accepted_is_not_told(filled: Stub) -> None:
    filled.api_key = "another"
    with closing(source_of(filled, KEY)) as source, pytest.raises(AuthenticationError) as caught:
        source.probe()
    assert KEY not in f"{caught.value.message} {caught.value.hint} {source!r} {Address(Kind.SERVER, '', KEY)!r}"


def test_a_key_is_not_sent_to_another_host(filled: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.api_key = KEY
    ours = Address(Kind.SERVER, filled.url, KEY)
    assert ours.with_key_for(Address(Kind.SERVER, filled.url)).api_key == KEY
    elsewhere = Address(Kind.SERVER, "http://127.0.0.1:9")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert ours.with_key_for(elsewhere).api_key is None
    monkeypatch.setenv(KEY_VARIABLE, "its own")
    assert ours.with_key_for(elsewhere).api_key == "its own"


def test_half_an_answer_is_no_backup(filled: Stub) -> None:
    filled.cut = "/points/scroll"
    with closing(source_of(filled)) as source, pytest.raises(UnreachableError):
        back_up(source)


def test_a_collection_that_goes_while_it_is_read(filled: Stub) -> None:
    def gone(path: str) -> None:
        if path.endswith("/points/scroll"):
            filled.client.delete_collection("docs")

    with closing(source_of(filled).prepare(None)) as prepared, closing(prepared.freeze()) as view:
        view.streams()
        filled.hook = gone
        with pytest.raises(InstantMovedError, match="docs was deleted"):
            read_all(view)


def test_a_change_while_it_is_read_is_told_and_does_not_tear_items_from_vectors(filled: Stub) -> None:
    asked = 0

    def shrinking(path: str) -> None:
        nonlocal asked
        if path.endswith("/points/scroll"):
            asked += 1
            filled.client.delete("docs", [POINTS - asked])

    with closing(source_of(filled).prepare(None)) as prepared, closing(prepared.freeze()) as view:
        filled.hook = shrinking
        copies = read_all(view)
        warnings = view.settle().warnings
    counts = {name: sum(chunk.records for chunk in copy.chunks) for name, copy in copies.items()}
    assert counts["docs"] == counts["docs#vectors"] < POINTS
    assert any("docs changed while it was read" in warning for warning in warnings)


def test_what_cannot_be_written_is_named(filled: Stub) -> None:
    with closing(source_of(filled)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(None)) as target:
            target.begin(plan)
            filled.client.delete_collection("docs_restored")
            item, vectors = plan.items
            with pytest.raises(IncompleteRestoreError, match="docs_restored: of the points 0 to 59"):
                target.load_joined(item, [copies["docs"].data], [(vectors, [copies["docs#vectors"].data])])


def test_something_else_that_listens_there(stub: Stub) -> None:
    stub.cut = "/"
    with closing(source_of(stub)) as source, pytest.raises(SourceError):
        back_up(source)

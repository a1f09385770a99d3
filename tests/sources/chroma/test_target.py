"""Restores into a Chroma: interrupted ones, those that replace, and awkward names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import IncompleteRestoreError, SourceError, TargetNotEmptyError
from drtool.sources.chroma import ChromaSource
from drtool.sources.chroma.engine import Engine
from drtool.sources.chroma.target import ChromaTarget
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import RestorePlan
from drtool.sources.vectors.records import VECTORS, decode_all
from tests.sources.chroma import zoo
from tests.sources.chroma.zoo import Client
from tests.sources.contract import Copy, back_up, load_all, plan_for, restore

pytestmark = pytest.mark.heavy
pytest.importorskip("chromadb")


@pytest.fixture
def copies(embedded: tuple[Path, Client]) -> dict[str, Copy]:
    """Two collections, backed up."""
    directory, client = embedded
    for number, name in enumerate(("one", "two")):
        client.create_collection(name, embedding_function=None, metadata={"n": number}).add(
            ids=["a", "b"], embeddings=zoo.vectors(2, 4, seed=number), documents=["x", "y"]
        )
    return back_up(ChromaSource("vectors", str(directory)))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[ChromaSource]:
    """An empty place to restore to."""
    with closing(ChromaSource("there", str(tmp_path / "there"))) as source:
        yield source


def in_place(source: ChromaSource, copies: dict[str, Copy], marker: str = "marker-1") -> RestorePlan:
    """Under the original names."""
    plan = plan_for(source, copies, marker)
    return replace(plan, items=tuple(replace(item, name=item.stream.name) for item in plan.items))


def held(source: ChromaSource) -> list[str]:
    """The collections that there are, and nothing that a restore left."""
    return [name for name in back_up(source) if not name.endswith(VECTORS)]


def test_half_of_a_restore_has_no_name_yet(there: ChromaSource, copies: dict[str, Copy]) -> None:
    plan = in_place(there, copies)
    with closing(there.target(None)) as target:
        target.begin(plan)
        load_all(target, plan, copies)
    assert held(there) == []


def test_a_restore_interrupted_while_it_names_starts_over(
    there: ChromaSource, copies: dict[str, Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = in_place(there, copies)
    rename = Engine.rename

    def once(self: Engine, *arguments: object) -> None:
        rename(self, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with closing(there.target(None)) as target:
        target.begin(plan)
        load_all(target, plan, copies)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Engine, "rename", once)
            target.finish(plan, lambda sentence: None)
    assert held(there) == ["one"]
    with closing(there.target(None)) as target:
        assert target.inspect(replace(plan, marker="marker-2")).occupied, "another's work"
        assert target.inspect(plan).occupied == (), "it is our own work that lies there"
        restore(target, plan, copies)
    assert held(there) == ["one", "two"]


def test_what_is_there_is_replaced_only_where_that_was_asked_for(there: ChromaSource, copies: dict[str, Copy]) -> None:
    plan = in_place(there, copies)
    with closing(there.target(None)) as target:
        restore(target, plan, copies)
    again = replace(plan, marker="marker-2")
    with closing(there.target(None)) as target:
        assert "one: 2 items" in target.inspect(again).occupied
        with pytest.raises(TargetNotEmptyError) as caught:
            target.begin(again)
        assert caught.value.hint
        restore(target, replace(again, replace=True), copies)
    assert held(there) == ["one", "two"]
    assert back_up(there)["one"].data == copies["one"].data


def test_a_name_as_long_as_they_may_be(there: ChromaSource, copies: dict[str, Copy]) -> None:
    plan = in_place(there, {name: copy for name, copy in copies.items() if name.startswith("one")})
    name = "x" * 512
    renamed = replace(plan, items=tuple(replace(item, name=item.name.replace("one", name)) for item in plan.items))
    with closing(there.target(None)) as target:
        restore(target, renamed, copies)
    assert held(there) == [name]


def test_a_name_that_chroma_refuses_is_named(there: ChromaSource, copies: dict[str, Copy]) -> None:
    plan = in_place(there, {name: copy for name, copy in copies.items() if name.startswith("one")})
    renamed = replace(plan, items=tuple(replace(item, name=item.name.replace("one", "ö")) for item in plan.items))
    with closing(there.target(None)) as target, pytest.raises(SourceError, match="ö"):
        restore(target, renamed, copies)


def test_vectors_of_several_dimensions_are_named(there: ChromaSource, copies: dict[str, Copy]) -> None:
    plan = in_place(there, {name: copy for name, copy in copies.items() if name.startswith("one")})
    item, beside = plan.items
    documents = decode_all(copies["one" + VECTORS].data)
    from drtool.sources.vectors.records import encode_vectors

    odd = b"".join(
        bytes(encode_vectors(document["_id"], {"": bytes(4 * (number + 1))})[1])
        for number, document in enumerate(documents)
    )
    with closing(there.target(None)) as target:
        target.begin(plan)
        with pytest.raises(IncompleteRestoreError, match="dimension"):
            target.load_joined(item, [copies["one"].data], [(beside, [odd])])


def test_a_definition_that_came_back_otherwise_is_told(there: ChromaSource, copies: dict[str, Copy]) -> None:
    stream = copies["one"].stream
    other: StreamInfo = replace(stream, definition=stream.definition.replace(b'"n":0', b'"n":7'))
    [difference] = there.differences(stream, other)
    assert "metadata" in difference


def test_closing_a_target_that_was_never_opened(tmp_path: Path) -> None:
    target = ChromaSource("there", str(tmp_path / "no")).target(None)
    assert isinstance(target, ChromaTarget)
    target.close()
    target.close()
    assert not (tmp_path / "no").exists()

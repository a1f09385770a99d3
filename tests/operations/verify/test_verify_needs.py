"""What a verification attests is what it needed and looked at, whatever else the index says meanwhile."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from drtool.operations.contents import Contents, Listing, list_needed
from drtool.operations.verify import verify
from drtool.operations.verify.inspecting import Sample
from drtool.repository.cache import IndexCache, Location
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from tests.operations.site import Site, fill, flip
from tests.sources.mongo import Client


@pytest.fixture
def taken(site: Site, client: Client, database: str) -> Site:
    """A host with one snapshot."""
    fill(client, database)
    site.backup()
    return site


@contextlib.contextmanager
def _contents(site: Site) -> Iterator[tuple[Repository, Contents]]:
    with site.opened(reads_data=True) as repository, contextlib.closing(ChunkReader(repository)) as reader:
        yield repository, Contents(reader, read_catalogue(repository).snapshots[-1].manifest)


def _messages(site: Site, level: str) -> list[str]:
    ended = site.drtool("verify", "latest", "--level", level)
    assert ended.code == 4
    return [problem["message"] for problem in ended.lines[0]["problems"]]


def _data_pack(site: Site) -> bytes:
    with _contents(site) as (repository, contents):
        listing = list_needed(repository, contents, keeps_rows=True)
        return next(
            pack for pack in listing.packs if any(need.kind is ChunkKind.DATA for need, _ in listing.needed(pack))
        )


def test_rows_that_vanish_after_the_listing(taken: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = []

    def listed(repository: Repository, *arguments: Any, **options: Any) -> Listing:
        listing = list_needed(repository, *arguments, **options)
        [path] = (taken.directory / "cache").rglob("index.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            emptied.append(connection.execute("DELETE FROM chunks").rowcount)
        return listing

    monkeypatch.setattr(verify, "list_needed", listed)
    line = taken.ok("verify", "latest", "--level", "readable")[0]
    assert emptied[0] > 0
    assert line["checked"]["chunks"] == 9


def test_chunks_that_were_not_opened(taken: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listing, "needed", lambda _listing, _pack: iter(()))
    assert _messages(taken, "readable") == ["only 0 of the 9 chunks needed were opened"]


def _lie(monkeypatch: pytest.MonkeyPatch, only: bool, **lie: Any) -> None:
    """Let the index tell this of every chunk of records: before the truth, or instead of it."""
    true = IndexCache.locations

    def locations(cache: IndexCache, id_: bytes) -> list[Location]:
        found = true(cache, id_)
        if found and found[0].kind is ChunkKind.DATA:
            lies = [replace(one, **lie) for one in found]
            return lies if only else lies + found
        return found

    monkeypatch.setattr(IndexCache, "locations", locations)


@pytest.mark.parametrize(
    "lie", [{"counter": 77}, {"slot": 99}, {"offset": 1}, {"length": 5}, {"kind": ChunkKind.CATALOG}]
)
def test_a_row_that_lies_about_a_sound_pack(taken: Site, monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]) -> None:
    _lie(monkeypatch, False, **lie)
    assert taken.ok("verify", "latest", "--level", "readable")[0]["checked"]["chunks"] == 9
    assert taken.objects("distrust") == []


@pytest.mark.parametrize("lie", [{"length": 5}, {"kind": ChunkKind.CATALOG}])
def test_an_index_that_contradicts_the_pages(taken: Site, monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]) -> None:
    _lie(monkeypatch, True, **lie)
    for level in ("listed", "readable"):
        assert all("the index and a page disagree" in message for message in _messages(taken, level))


def test_a_chunk_that_opens_nowhere(taken: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _lie(monkeypatch, True, counter=77)
    assert all("does not decrypt" in message for message in _messages(taken, "readable"))
    assert len(taken.objects("distrust")) == 1


def test_a_distrust_record_names_its_evidence(taken: Site) -> None:
    bad = _data_pack(taken)
    flip(taken.store / pack_name(bad))
    assert taken.drtool("verify", "latest", "--level", "readable").code == 4
    [path] = taken.objects("distrust")
    [evidence] = taken.objects("evidence")
    with taken.opened() as repository:
        fields = json.loads(repository.open_object(Kind.DISTRUST, f"distrust/{path.name}").payload)
    assert fields.keys() == {"format", "distrust", "packs", "reason", "at", "evidence"}
    assert (fields["format"], fields["distrust"], fields["packs"]) == (1, path.name, [bad.hex()])
    assert fields["evidence"] == evidence.name


def test_a_sample_of_few_packs_takes_one_and_shares_divide_them() -> None:
    packs = {bytes(32): 10, bytes(31) + b"a": 20}
    chosen = Sample(fraction=1e-9).choose(packs, b"salt")
    assert len(chosen) == 1
    shares = [Sample(fraction=1 / 7, share=(part, 7)).choose(packs, b"salt") for part in range(1, 8)]
    assert sum(len(share) for share in shares) == len(packs)
    assert chosen.items() <= packs.items()
    assert Sample(fraction=0.5).choose({}, b"salt") == {}


def test_a_stream_list_that_is_not_the_manifests(taken: Site) -> None:
    with _contents(taken) as (repository, contents):
        good = contents.manifest
        [source] = good.sources
        assert not list_needed(repository, contents).problems
        contents.manifest = replace(good, stream_count=good.stream_count + 1)
        [problem] = list_needed(repository, contents).problems
        assert "streams, and its list has" in problem.message
        contents.manifest = replace(good, sources=(replace(source, name="other"),))
        problems = list_needed(repository, contents).problems
        assert {problem.message for problem in problems} == {
            f"{good.name} lists this stream, but no source {source.name}"
        }
        assert len(problems) == good.stream_count
        twice = good.stream_chunks * 2
        contents.manifest = replace(good, stream_chunks=twice, stream_count=2 * good.stream_count)
        problems = list_needed(repository, contents).problems
        assert {problem.message for problem in problems} == {f"{good.name} lists this stream 2 times"}

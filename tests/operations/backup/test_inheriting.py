"""What a snapshot inherits: parts begin where chunks began, so that what did not change is not stored again."""

from __future__ import annotations

from unittest import mock

import pytest

from drtool.errors import MissingObjectError
from drtool.operations.backup.coverage import NotKeptError
from drtool.operations.backup.inheriting import Before
from drtool.operations.backup.keeping import Pages
from drtool.operations.contents import Contents
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import decode_bounds
from drtool.repository.reader import ChunkReader
from drtool.sources.mongodb import MongoSource
from tests.operations.site import Site
from tests.sources.mongo import Client


def _fill(client: Client, database: str) -> None:
    client[database].c.insert_many([{"_id": n, "text": f"{n:08d}" * 60} for n in range(20_000)])


def test_parts_of_unchanged_records_store_nothing(site: Site, client: Client, database: str) -> None:
    _fill(client, database)
    settings = {**(MongoSource.__init__.__kwdefaults__ or {}), "part_bytes": 1_000_000}
    with mock.patch.object(MongoSource.__init__, "__kwdefaults__", settings):
        first = site.backup()
        packs = site.objects("packs")
        again = site.backup("--full")
    assert first["ranges"] == again["ranges"]
    assert again["ranges"]["read"] == again["chunks"]["total"]
    assert again["chunks"]["new"] == again["bytes"]["stored"] == 0
    assert site.objects("packs") == packs
    assert again["chunks"]["total"] == first["chunks"]["total"]


def test_parts_begin_where_chunks_began(site: Site, client: Client, database: str) -> None:
    _fill(client, database)
    site.backup()
    with site.opened(reads_data=True) as repository:
        before = Before(repository, "nightly", Silent())
        [stream] = [entry for entry in before.entries if entry.name == f"{database}.c"]
        parts = Pages(repository, mock.Mock(), "nightly", 2).parts(stream.root, 3)
        assert parts is not None
        assert len(parts) == 3
        assert [part.upper for part in parts[:-1]] == [part.lower for part in parts[1:]]
        assert parts[0].lower is parts[-1].upper is None
        contents = Contents(ChunkReader(repository), read_catalogue(repository).snapshots[-1].manifest)
        sealed = [contents.reader.get(ChunkKind.PRIVATE, leaf.bounds) for leaf in contents.leaves(stream)]
        firsts = [bound.first for bounds in sealed for bound in decode_bounds(bounds)]
        assert {part.lower for part in parts[1:]} <= set(firsts)
        contents.reader.close()
        before.close()


def test_a_host_without_state_lets_the_source_split(site: Site, client: Client, database: str) -> None:
    _fill(client, database)
    site.backup()
    fresh = site.elsewhere("fresh")
    with fresh.opened() as repository:
        before = Before(repository, "nightly", Silent())
        [stream] = [entry for entry in before.entries if entry.name == f"{database}.c"]
        info = mock.Mock(identity=stream.identity)
        pages = Pages(repository, mock.Mock(), "nightly", 2)
        with pytest.raises(NotKeptError, match="lacks page"):
            pages.leaves(stream.root)
        assert pages.parts(stream.root, 2) is None
        assert before.cut("nightly", info) == (stream.threshold, stream.fine)
        before.close()


def test_damage_in_the_last_snapshot_does_not_stop_the_next(site: Site, client: Client, database: str) -> None:
    _fill(client, database)
    site.backup()
    with mock.patch.object(ChunkReader, "get", side_effect=MissingObjectError("gone")):
        ended = site.drtool("backup")
    assert ended.code == 0, ended.err
    assert "cannot be read" in ended.lines[-2]["full_because"]
    assert site.backup()["incremental"]

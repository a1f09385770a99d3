"""Servers that do not answer, do not let one in, or cannot give an instant; and data that is awkward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from drtool.operations.backup.backup import back_up
from drtool.operations.backup.inheriting import Thoroughness
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.reader import ChunkReader
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import WHOLE
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.mongod import shared
from tests.sources import mongo_zoo
from tests.sources.mongo import Client, raw_documents, source_of, unique_database

pytestmark = pytest.mark.heavy


@pytest.fixture
def alone() -> Iterator[Client]:
    """A standalone server."""
    with connect(shared(None).uri) as found:
        yield found


@pytest.fixture
def alone_database(alone: Client) -> Iterator[str]:
    """A new database there."""
    name = unique_database(alone)
    yield name
    for found in alone.list_database_names():
        if found.startswith(name):
            alone.drop_database(found)


def test_no_server(tmp_path: Path) -> None:
    uri = "mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=200"
    site = Site(tmp_path, uri, {"nightly": ("app",)}).set_up()
    for arguments in (("backup",), ("backup", "--dry-run")):
        ended = site.drtool(*arguments)
        assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable")
        assert "127.0.0.1:1" in ended.result["error"]["message"]
        assert "Is the server running" in ended.result["error"]["hint"]
        assert "hunter2" not in ended.out + ended.err
    assert not site.objects("snapshots")


@pytest.fixture(scope="session")
def guarded() -> str:
    """Host and port of a server that asks for a password."""
    server = shared(None, "--auth")
    with connect(server.uri) as client:
        client.admin.command("createUser", "root", pwd="s3cr:t/", roles=["root"])
    with connect(f"mongodb://root:s3cr%3At%2F@127.0.0.1:{server.port}") as root:
        root.admin.command("createUser", "backup", pwd="s3cr:t/", roles=["backup"])
        root.admin.command("createUser", "nothing", pwd="s3cr:t/", roles=[])
        fill(root, "guarded", megabytes=0.05)
    return f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("user", "password", "code", "hint"),
    [
        ("backup", "s3cr%3At%2F", 0, ""),
        ("backup", "wr%3Ang", 1, "password"),
        ("nobody", "s3cr%3At%2F", 1, "password"),
        ("nothing", "s3cr%3At%2F", 1, "role `backup`"),
    ],
)
def test_passwords(guarded: str, tmp_path: Path, user: str, password: str, code: int, hint: str) -> None:
    site = Site(tmp_path, f"mongodb://{user}:{password}@{guarded}/", {"nightly": ("guarded",)}).set_up()
    ended = site.drtool("backup")
    assert ended.code == code, ended.err
    if code:
        assert ended.result["error"]["kind"] == "authentication"
        assert hint in ended.result["error"]["hint"]
    for form in (password, "s3cr:t/", "wr:ng"):
        assert form not in ended.out + ended.err
    assert all(form.encode() not in path.read_bytes() for path in site.objects("") for form in (password, "s3cr:t/"))


def test_no_password_where_one_is_needed(guarded: str, tmp_path: Path) -> None:
    site = Site(tmp_path, f"mongodb://{guarded}/", {"nightly": ("guarded",)}).set_up()
    ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "authentication")


def test_a_standalone_is_fuzzy_and_says_so(tmp_path: Path, alone: Client, alone_database: str) -> None:
    fill(alone, alone_database)
    site = Site(tmp_path, shared(None).uri, {"nightly": (alone_database,)}).set_up()
    ended = site.drtool("backup")
    assert (ended.code, ended.lines[0]["consistency"]) == (0, "fuzzy")
    assert "warning: " in ended.err
    assert "--replSet" in ended.err
    assert site.ok("snapshots")[0]["consistency"] == "fuzzy"
    assert "--replSet" in site.told("show", "latest").out
    assert site.ok("verify", "--level", "restored")[0]["ok"]


def test_an_empty_standalone_is_fuzzy_too(tmp_path: Path, alone_database: str) -> None:
    site = Site(tmp_path, shared(None).uri, {"nightly": (alone_database,)}).set_up()
    assert site.backup()["consistency"] == "fuzzy"


_chunks = MongoView.chunks


def test_a_fuzzy_source_is_not_read_in_parts(tmp_path: Path, alone: Client, alone_database: str) -> None:
    """Parts join only if their readers see the same records, and a standalone's may change between them."""
    fill(alone, alone_database, megabytes=2, collections=1)
    site = Site(tmp_path, shared(None).uri, {"nightly": (alone_database,)}).set_up()
    source = source_of(shared(None).uri, alone_database, part_bytes=100_000)
    with (
        site.opened() as repository,
        mock.patch.object(MongoView, "chunks", autospec=True, side_effect=_chunks) as read,
    ):
        result = back_up(repository, "nightly", [source], Budget(4, 2, 1, 8_000_000), Silent())
    parts = [call.args[2] for call in read.call_args_list if call.args[1].name == f"{alone_database}.c0"]
    assert (parts, result.records) == ([WHOLE], alone[alone_database].c0.count_documents({}))


def test_parts_give_the_same_chunks(tmp_path: Path, client: Client, database: str, uri: str) -> None:
    fill(client, database, megabytes=3, collections=2)
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    site.backup()
    with site.opened() as repository, closing(ChunkReader(repository)) as reader:
        source = source_of(uri, database, part_bytes=100_000)
        with mock.patch.object(MongoView, "chunks", autospec=True, side_effect=_chunks) as read:
            back_up(repository, "nightly", [source], Budget(4, 2, 1, 8_000_000), Silent(), Thoroughness(full=True))
        assert len(read.call_args_list) > 2
        whole, parted = (Contents(reader, s.manifest) for s in read_catalogue(repository).snapshots)
        for one, other in zip(whole.streams(), parted.streams(), strict=True):
            assert list(whole.refs(one)) == list(parted.refs(other))


def _facts(client: Client, database: str) -> dict[str, Any]:
    """Options and indexes of everything, without what is the server's own."""
    facts: dict[str, Any] = {}
    for found in client[database].list_collections():
        if not found["name"].startswith("system."):
            indexes = [] if found["type"] == "view" else list(client[database][found["name"]].list_indexes())
            facts[found["name"]] = (found["type"], found["options"], sorted(indexes, key=lambda i: str(i["name"])))
    return facts


def test_one_of_everything(tmp_path: Path, client: Client, database: str, uri: str, alone: Client) -> None:
    """Mixed ids, 16 MB documents, duplicate keys, empty timestamps, odd names: what comes back is what was there."""
    mongo_zoo.fill(client[database])
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    assert site.backup()["consistency"] == "exact"
    assert site.backup()["bytes"]["new"] == 0
    [verified] = site.ok("verify", "latest", "--level", "restored")[:-1]
    assert (verified["ok"], verified["proof"]) == (True, "identical")
    result = site.ok("restore", "latest", "--to", shared(None).uri)[-1]
    try:
        assert result["records"] == result["expected_records"] == verified["checked"]["records"]
        assert hashes(alone, database) == hashes(client, database)
        assert _facts(alone, database) == _facts(client, database)
        for name in ("values", "ids", "large"):
            order = {"_id": 1}
            assert raw_documents(alone[database], name, order) == raw_documents(client[database], name, order)
    finally:
        alone.drop_database(database)

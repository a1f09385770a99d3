"""``drtool export``: everything a database can hold, in both layouts; and what is left behind when it fails."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from drtool.errors import MissingToolError
from drtool.sources.mongodb import definitions
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.catalogue import list_catalogue
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.cli.running import ROOT, command, environment
from tests.operations.site import Site, fill, flip
from tests.sources import mongo_zoo
from tests.sources.dumps import Dump, read_archive, read_directory
from tests.sources.mongo import Client, int32, raw_documents

pytestmark = pytest.mark.heavy

DATABASE = "zoo"
LONG = "größe" * 20
#: A real mongorestore, which no package registry has: the tests with it exist only where there is one.
MONGORESTORE = os.environ.get("DRTOOL_MONGORESTORE") or shutil.which("mongorestore") or ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests' own, since they make users, and nothing may expire."""
    try:
        mongod = find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    with running(mongod, ServerOptions(replica_set="export", parameters={"ttlMonitorEnabled": "false"})) as found:
        yield found


@pytest.fixture(scope="module")
def own(server: Server) -> Iterator[Client]:
    """A client of it."""
    found: Client
    with MongoClient(server.uri) as found:
        yield found


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, server: Server, own: Client) -> Site:
    """A host with a snapshot of one of everything."""
    mongo_zoo.fill(own[DATABASE])
    own[DATABASE][LONG].insert_one({"_id": 1})
    own[DATABASE].command("createRole", "reader", privileges=[], roles=["read"])
    own[DATABASE].command("createUser", "alice", pwd="secret", roles=["reader"])
    site = Site(tmp_path_factory.mktemp("zoo"), server.uri, {"nightly": (DATABASE,)}).set_up()
    site.backup()
    return site


@pytest.fixture(scope="module")
def directory(zoo: Site) -> Path:
    """The directory made of it."""
    path = zoo.directory / "dump"
    result = zoo.ok("export", "latest", str(path))[-1]
    assert result["layout"] == "mongorestore-directory"
    return path


@pytest.fixture(scope="module")
def archive(zoo: Site) -> Path:
    """The archive made of it."""
    path = zoo.directory / "zoo.archive"
    result = zoo.ok("export", "latest", "--archive", str(path))[-1]
    assert result["layout"] == "mongorestore-archive"
    return path


def _listed(client: Client, database: str) -> dict[str, bytes]:
    found = list_catalogue(client, [database], lambda name: not name.endswith(".system.views"))
    return {entry.name.partition(".")[2]: entry.definition.encode() for entry in found}


@pytest.fixture(params=["directory", "archive"])
def dump(request: pytest.FixtureRequest) -> Dump:
    """Both layouts, read by what the tests know of them."""
    path: Path = request.getfixturevalue(request.param)
    return read_directory(path) if path.is_dir() else read_archive(path.read_bytes())


def test_every_document_is_there_byte_for_byte(dump: Dump, own: Client) -> None:
    database = own[DATABASE]
    for found in database.list_collections():
        name = found["name"]
        if found["type"] == "collection" and name != "system.views":
            ordered = "capped" not in found["options"]
            expected = raw_documents(database, name, {"_id": 1} if ordered else {"$natural": 1})
            assert dump.documents[f"{DATABASE}.{name}"] == expected, name
        elif found["type"] == "view":
            assert not dump.documents.get(f"{DATABASE}.{name}")
    assert [bson.decode(one)["_id"] for one in dump.documents[f"{DATABASE}.$admin.system.users"]] == ["zoo.alice"]
    assert [bson.decode(one)["_id"] for one in dump.documents[f"{DATABASE}.$admin.system.roles"]] == ["zoo.reader"]


def test_every_option_and_index_is_there(dump: Dump, own: Client) -> None:
    database = own[DATABASE]
    listed = {found["name"]: found for found in database.list_collections() if not _is_internal(found["name"])}
    assert {name.removeprefix(f"{DATABASE}.") for name in dump.metadata} == listed.keys()
    for name, found in listed.items():
        metadata = dump.options(f"{DATABASE}.{name}")
        assert metadata["options"] == found["options"], name
        assert (metadata["collectionName"], metadata["type"]) == (name, found["type"])
        if found["type"] == "collection":
            assert metadata["uuid"] == bytes(found["info"]["uuid"]).hex()
        wanted = [] if found["type"] == "view" else [dict(spec) for spec in database[name].list_indexes()]
        by_name = {spec["name"]: spec for spec in metadata["indexes"]}
        assert by_name == {spec["name"]: spec for spec in wanted}, name
        assert [list(by_name[spec["name"]]["key"]) for spec in wanted] == [list(spec["key"]) for spec in wanted]


def _is_internal(name: str) -> bool:
    return name.startswith("system.") and name != "system.js"


def test_nobody_else_may_read_it(directory: Path, archive: Path) -> None:
    paths = [directory, archive, *directory.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o700, 0o600}
    assert all((stat.S_IMODE(path.stat().st_mode) == 0o700) == path.is_dir() for path in paths)
    assert not list(directory.parent.glob("*.partial"))


class TestWithMongorestore:
    """What the real program makes of it."""

    __test__ = bool(MONGORESTORE)

    @pytest.fixture
    def back(self, own: Client) -> Iterator[str]:
        """Where it goes, on the same server."""
        name = "back"
        yield name
        own.drop_database(name)

    @pytest.mark.parametrize("layout", ["directory", "archive"])
    def test_it_brings_back_the_same(
        self, layout: str, request: pytest.FixtureRequest, server: Server, own: Client, back: str
    ) -> None:
        path: Path = request.getfixturevalue(layout)
        source = [str(path)] if path.is_dir() else [f"--archive={path}"]
        renamed = [f"--nsFrom={DATABASE}.*", f"--nsTo={back}.*"]
        _mongorestore(server, "--bypassDocumentValidation", *renamed, *source)
        before, after = _listed(own, DATABASE), _listed(own, back)
        assert before.keys() == after.keys()
        assert [text for name in before for text in definitions.differences(before[name], after[name])] == []
        hashes = [own[name].command("dbHash")["collections"] for name in (DATABASE, back)]
        different = {name for name in hashes[0].keys() | hashes[1].keys() if hashes[0].get(name) != hashes[1].get(name)}
        # mongorestore's inserts let the server replace an empty timestamp, and a view's definition names its database
        assert different <= {"values", "system.views"}
        values = [raw_documents(own[name], "values", {"_id": 1}) for name in (DATABASE, back)]
        changed = [one[8:13] for one, other in zip(*values, strict=True) if one != other]
        assert changed == [b"\0" + int32(9)]
        capped = [raw_documents(own[name], "capped", {"$natural": 1}) for name in (DATABASE, back)]
        assert capped[0] == capped[1]
        assert list(own[DATABASE].series.find()) == list(own[back].series.find())

    @pytest.mark.parametrize("option", [(), ("--archive",)])
    def test_users_and_roles(
        self, option: tuple[str, ...], zoo: Site, tmp_path: Path, server: Server, own: Client
    ) -> None:
        zoo.ok("export", "latest", "--only", f"{DATABASE}.$*", *option, str(tmp_path / "d"))
        before = _accounts(own)
        own[DATABASE].command("dropAllUsersFromDatabase")
        own[DATABASE].command("dropAllRolesFromDatabase")
        assert _accounts(own) == [[], []]
        source = f"--archive={tmp_path / 'd'}" if option else str(tmp_path / "d" / DATABASE)
        _mongorestore(server, "--db", DATABASE, "--restoreDbUsersAndRoles", source)
        assert _accounts(own) == before


def _mongorestore(server: Server, *arguments: str) -> None:
    done = subprocess.run(
        [MONGORESTORE, f"--uri={server.uri}", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert " 0 document(s) failed" in done.stderr, done.stderr


def _accounts(client: Client) -> list[list[dict[str, Any]]]:
    return [list(client.admin[name].find({"db": DATABASE})) for name in ("system.users", "system.roles")]


def test_part_of_it(zoo: Site, tmp_path: Path) -> None:
    result = zoo.ok("export", "latest", str(tmp_path / "d"), "--only", "zoo.german", "--only", "zoo.*view")[-1]
    assert (result["streams"], result["records"]) == (3, 8)
    dump = read_directory(tmp_path / "d")
    assert dump.metadata.keys() == {"zoo.german", "zoo.aa_view", "zoo.zz_view"}
    assert len(dump.documents["zoo.german"]) == 8


def test_standard_output_takes_nothing_but_the_archive(zoo: Site, archive: Path) -> None:
    with subprocess.Popen(
        command("--config", str(zoo.config), "--json", "export", "latest", "--archive", "-"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == archive.read_bytes()
    assert b'"type": "result"' in err


def test_a_reader_that_has_gone_is_an_error(zoo: Site) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = _to(zoo, write)
    os.close(write)
    assert ended.returncode == 1
    assert "standard output: the program that read it has ended" in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_standard_output(zoo: Site) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = _to(zoo, full.fileno())
    assert ended.returncode == 1
    assert "no space left" in ended.stderr


def _to(site: Site, descriptor: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--config", str(site.config), "export", "latest", "--archive", "-"),
        stdout=descriptor,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, server: Server, own: Client) -> Site:
    """A host with a snapshot of 4 MB."""
    fill(own, "small", megabytes=4, collections=3)
    site = Site(tmp_path_factory.mktemp("small"), server.uri, {"nightly": ("small",)}).set_up()
    site.backup()
    return site


@pytest.mark.parametrize("options", [("d",), ("--archive", "d")])
def test_nothing_is_left_where_it_could_not_be_written(small: Site, tmp_path: Path, options: tuple[str, ...]) -> None:
    """A limit on the size of files stands for a full disk: the same failure in the middle of a write."""
    told = command("--config", str(small.config), "export", "latest", *options)
    ended = subprocess.run(
        ["bash", "-c", 'ulimit -f 1000; exec "$@"', "bash", *told],  # blocks of 1 KiB
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "cannot write d: File too large" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [(), ("--archive",)])
def test_nothing_is_left_where_the_repository_is_damaged(small: Site, tmp_path: Path, option: tuple[str, ...]) -> None:
    damaged = small.copied(tmp_path / "host")
    flip(max(damaged.objects("packs"), key=lambda path: path.stat().st_size))
    ended = damaged.drtool("export", "latest", *option, str(tmp_path / "d"))
    assert ended.code == 4
    assert ended.result["error"]["kind"] == "damaged-object"
    assert "records" not in ended.result
    assert [path.name for path in tmp_path.iterdir()] == ["host"]


def test_nothing_is_begun_without_all_that_is_needed(small: Site, tmp_path: Path) -> None:
    lacking = small.copied(tmp_path / "host")
    max(lacking.objects("packs"), key=lambda path: path.stat().st_size).unlink()
    ended = lacking.drtool("export", "latest", str(tmp_path / "d"))
    assert (ended.code, ended.result["error"]["kind"]) == (4, "missing-object")
    assert "that this export needs" in ended.result["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["host"]


@pytest.mark.parametrize("kind", ["a file", "not empty", "a link", "an archive", "left over"])
def test_what_is_there_is_never_replaced(small: Site, tmp_path: Path, kind: str) -> None:
    there = tmp_path / "d"
    if kind == "not empty":
        there.mkdir()
        (there / "precious").touch()
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        there.symlink_to(tmp_path / "elsewhere")
    elif kind == "left over":
        (tmp_path / "d.partial").mkdir()
    else:
        there.write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    ended = small.drtool("export", "latest", *(["--archive"] if kind == "an archive" else []), str(there))
    assert (ended.code, ended.result["error"]["kind"]) == (20, "refused")
    assert ended.result["error"]["hint"]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_directory_may_be_there(small: Site, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    small.ok("export", "latest", str(tmp_path / "d"))
    assert len(read_directory(tmp_path / "d").documents) == 3
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700


def test_the_working_directory_is_not_replaced(small: Site) -> None:
    empty = small.directory / "empty"
    empty.mkdir()
    ended = subprocess.run(
        command("--config", str(small.config), "export", "latest", "."),
        capture_output=True,
        text=True,
        env=environment(),
        cwd=empty,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 20
    assert "is the working directory" in ended.stderr
    assert empty.exists()


def test_an_interrupted_export_leaves_nothing(small: Site, tmp_path: Path) -> None:
    with subprocess.Popen(
        command("export:2", "--config", str(small.config), "export", "latest", "d", module="tests.e2e.halting"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    ) as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            partial = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.bson")]
            assert any(name.startswith("d.partial/small/") for name in partial)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_archive_ends(small: Site, tmp_path: Path) -> None:
    """A pipe that nobody empties holds the export in the middle of a write."""
    read, write = os.pipe()
    process = subprocess.Popen(
        command("--config", str(small.config), "export", "latest", "--archive", "-"),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    os.close(write)
    drained = threading.Thread(target=_drain, args=(read,))
    try:
        assert os.read(read, 4) == bytes.fromhex("6de29981")  # it has begun to write
        process.terminate()
        drained.start()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        if drained.is_alive():
            drained.join()
        os.close(read)
    assert process.returncode == 130, err


def _drain(descriptor: int) -> None:
    while os.read(descriptor, 65536):
        pass

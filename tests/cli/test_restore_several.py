"""``drtool restore`` and ``drtool export`` of a snapshot that holds several sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drtool.errors import SourceError
from drtool.sources.mongodb.target import MongoTarget
from tests.operations.site import Site, connect, drtool, fill, hashes
from tests.servers.mongod import shared
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="module")
def other() -> Iterator[Client]:
    """Another server."""
    with connect(shared(None).uri) as found:
        yield found


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, uri: str, client: Client) -> Iterator[Site]:
    """A host with one snapshot of the sources ``app`` and ``crm``, each a database of its own."""
    databases = (unique_database(client), unique_database(client))
    site = Site(tmp_path_factory.mktemp("several"), uri, {"app": databases[:1], "crm": databases[1:]}).set_up()
    config = yaml.safe_load(site.config.read_text())
    config["jobs"] = {"nightly": {"sources": ["app", "crm"]}}
    site.config.write_text(yaml.safe_dump(config))
    for number, database in enumerate(databases):
        fill(client, database, seed=number)
    site.backup()
    yield site
    for database in databases:
        client.drop_database(database)


@pytest.fixture
def taken(origin: Site, client: Client, other: Client) -> Iterator[Site]:
    """The same; whatever a test restores goes afterwards."""
    yield origin
    databases = tuple(_databases(origin))
    for server, beginnings in ((client, tuple(f"{name}_" for name in databases)), (other, databases)):
        for name in server.list_database_names():
            if name.startswith(beginnings):
                server.drop_database(name)


def _databases(site: Site) -> list[str]:
    return [databases[0] for databases in site.jobs.values()]


def _made(client: Client, site: Site) -> dict[str, list[str]]:
    return {
        name: [made for made in client.list_database_names() if made.startswith(f"{name}_")]
        for name in _databases(site)
    }


def test_all_sources_come_back_by_default(taken: Site, client: Client) -> None:
    dry = taken.ok("restore", "latest", "--dry-run")
    assert [(line["source"], line["expected_records"], line["occupied"]) for line in dry[:-1]] == [
        ("app", 24, []),
        ("crm", 24, []),
    ]
    lines = taken.ok("restore", "latest")
    restored = [line for line in lines if line["type"] == "restored"]
    assert [(line["source"], line["records"], line["expected_records"]) for line in restored] == [
        ("app", 24, 24),
        ("crm", 24, 24),
    ]
    result = lines[-1]
    assert (result["restored"], result["records"], result["expected_records"]) == (["app", "crm"], 48, 48)
    assert (result["streams"], result["restored_streams"]) == (4, 4)
    assert result["seconds"] == pytest.approx(sum(line["seconds"] for line in restored), abs=0.01)
    for name, made in _made(client, taken).items():
        assert [hashes(client, one) for one in made] == [hashes(client, name)]


def test_for_people(taken: Site) -> None:
    told = taken.told("restore", "latest").out
    assert "app (mongodb): 24 records" in told
    assert "crm (mongodb): 24 records" in told
    assert told.splitlines()[-1].startswith("✓ restored 48 records")
    assert "of 2 sources" in told.splitlines()[-1]


def test_one_of_them(taken: Site, client: Client) -> None:
    result = taken.ok("restore", "latest", "--source", "crm")[-1]
    assert (result["records"], result["restored"]) == (24, ["crm"])
    assert [len(made) for made in _made(client, taken).values()] == [0, 1]
    ended = taken.drtool("restore", "latest", "--source", "x")
    assert (ended.code, ended.result["error"]["hint"]) == (2, "It has: app, crm")


def test_each_to_a_place_of_its_own(taken: Site, client: Client, other: Client) -> None:
    app, crm = _databases(taken)
    ended = taken.drtool("restore", "latest", "--to", shared(None).uri)
    assert (ended.code, "--to SOURCE=URI" in ended.result["error"]["hint"]) == (2, True)
    result = taken.ok("restore", "latest", "--to", f"app={shared(None).uri}")[-1]
    assert result["targets"]["app"] != result["targets"]["crm"]
    assert result["target"] is None
    assert hashes(other, app) == hashes(client, app)
    assert crm not in other.list_database_names()
    assert [len(made) for made in _made(client, taken).values()] == [0, 1]


def test_a_pattern_means_the_sources_that_it_fits(taken: Site, client: Client) -> None:
    app, crm = _databases(taken)
    result = taken.ok("restore", "latest", "--dry-run", "--only", "*.c0")[-1]
    assert result["streams"] == 2
    lines = taken.ok("restore", "latest", "--dry-run", "--only", f"{app}.c0")
    assert [line["source"] for line in lines[:-1]] == ["app"]
    assert "crm is not restored: nothing of it fits --only" in taken.told("restore", "latest", "--only", app).out
    lines = taken.ok("restore", "latest", "--dry-run", "--only", "crm:*.c0", "--only", "app:*")
    assert [(line["source"], line["streams"]) for line in lines[:-1]] == [("app", 2), ("crm", 1)]
    taken.ok("restore", "latest", "--only", "crm:*.c1", "--rename", f"crm:{crm}={crm}_before")
    assert client[f"{crm}_before"].list_collection_names() == ["c1"]


_SENSELESS = [
    (("--only", "x"), "--only x fits nothing in the snapshot"),
    (("--only", "app:x"), "--only app:x fits nothing in the snapshot"),
    (("--rename", "x=y"), "--rename x=y fits nothing that is to be restored"),
    (("--source", "crm", "--only", "app:*"), "names source app"),
    (("--source", "crm", "--to", "app=mongodb://h"), "names source app"),
    (("--to", "app=mongodb://h", "--to", "app=mongodb://g"), "two places for source app"),
    (("--only", "crm:*", "--to", "app=mongodb://h"), "nothing of source app fits --only"),
    (("--rename", "app:{app}={app}_x", "--rename", "crm:{crm}={app}_x"), "would both be restored to"),
    (("--at", "2026-01-01T00:00:00Z", "--source", "app", "--source", "crm"), "go with one source"),
]


def test_options_that_make_no_sense(taken: Site, client: Client) -> None:
    app, crm = _databases(taken)
    for options, said in _SENSELESS:
        ended = taken.drtool("restore", "latest", *(option.format(app=app, crm=crm) for option in options))
        assert (ended.code, said in ended.result["error"]["message"]) == (2, True), ended.result
    assert all(not made for made in _made(client, taken).values())


def test_what_is_referred_to_comes_first(taken: Site) -> None:
    app, crm = _databases(taken)
    config = yaml.safe_load(taken.config.read_text())
    config["relations"] = [{"every": f"app.{app}.c0.n", "exists_in": f"crm.{crm}.c0._id"}]
    other = taken.directory / "related.yaml"
    other.write_text(yaml.safe_dump(config))
    lines = drtool("--config", str(other), "--json", "restore", "latest", "--dry-run", cwd=taken.directory).lines
    assert [line["source"] for line in lines[:-1]] == ["crm", "app"]


def test_what_is_in_the_way_of_one_keeps_all_from_being_written(taken: Site, client: Client) -> None:
    app, crm = _databases(taken)
    client[f"{crm}_x"].c0.insert_one({"_id": "precious"})
    options = ("--rename", f"{app}={app}_x", "--rename", f"{crm}={crm}_x")
    ended = taken.drtool("restore", "latest", *options)
    assert (ended.code, ended.result["error"]["kind"]) == (20, "target-not-empty")
    assert f"{app}_x" not in client.list_database_names()


def test_what_fails_after_another_came_back_is_partial(
    taken: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, crm = _databases(taken)
    load = MongoTarget.load

    def fail(self: MongoTarget, item: object, chunks: object) -> object:
        if getattr(item, "name", "").startswith(crm):
            raise SourceError("the server went away")
        return load(self, item, chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(MongoTarget, "load", fail)
    ended = taken.drtool("restore", "latest")
    assert (ended.code, ended.result["error"]["kind"]) == (3, "partial")
    assert ended.result["error"]["message"] == "app was restored, crm is incomplete: the server went away"
    assert ended.result["error"]["hint"] == "Go on with the same command and --source crm."
    assert (ended.result["restored"], ended.result["records"]) == (["app"], 24)
    assert "incomplete in" in ended.err
    monkeypatch.undo()
    assert taken.ok("restore", "latest", "--source", "crm")[-1]["records"] == 24
    for name, made in _made(client, taken).items():
        assert [hashes(client, one) for one in made] == [hashes(client, name)]


def test_export_makes_a_directory_for_each(taken: Site, tmp_path: Path) -> None:
    app, crm = _databases(taken)
    lines = taken.ok("export", "latest", str(tmp_path / "dump"))
    assert [(line["source"], line["records"]) for line in lines if line["type"] == "exported"] == [
        ("app", 24),
        ("crm", 24),
    ]
    assert lines[-1]["records"] == 48
    assert sorted(path.name for path in (tmp_path / "dump").iterdir()) == ["app", "crm"]
    assert (tmp_path / "dump" / "crm" / crm / "c0.bson").stat().st_size > 12 * 8000
    taken.ok("export", "latest", str(tmp_path / "one"), "--source", "app")
    assert (tmp_path / "one" / app / "c1.bson").exists()
    taken.ok("export", "latest", str(tmp_path / "part"), "--only", "crm:*.c0")
    assert [path.name for path in (tmp_path / "part").rglob("*.bson")] == ["c0.bson"]
    ended = taken.drtool("export", "latest", "--archive", str(tmp_path / "file"))
    assert (ended.code, ended.result["error"]["message"]) == (2, "an archive holds one source")
    taken.ok("export", "latest", "--archive", str(tmp_path / "file"), "--source", "app")

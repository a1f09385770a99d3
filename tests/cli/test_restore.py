"""``drtool restore``: beside, elsewhere, in part, and never over anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drtool.errors import SourceError
from tests.cli.running import ROOT
from tests.operations.site import Site, connect, drtool, fill, hashes
from tests.servers.mongod import shared
from tests.sources.mongo import Client

FIELDS = {"snapshot", "target", "records", "expected_records", "streams", "seconds", "bytes", "replayed"}


@pytest.fixture
def taken(site: Site, client: Client, database: str) -> Site:
    """A host with one snapshot."""
    fill(client, database)
    client[database].c0.create_index("n")
    site.backup()
    return site


@pytest.fixture
def other(database: str) -> Iterator[Client]:
    """Another server."""
    with connect(shared(None).uri) as found:
        yield found
        found.drop_database(database)


def _made(client: Client, database: str) -> list[str]:
    return [name for name in client.list_database_names() if name.startswith(f"{database}_")]


def test_beside_by_default(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    result = taken.ok("restore", "latest")[-1]
    assert result.keys() >= {*FIELDS, "recovered_to"}
    assert result["records"] == result["expected_records"] == 24
    assert (result["streams"], result["replayed"]) == (2, 0)
    assert result["recovered_to"] == taken.ok("snapshots")[0]["instant"]
    [made] = _made(client, database)
    assert made.startswith(f"{database}_restored_2")
    assert hashes(client, made) == hashes(client, database) == before
    assert "n_1" in client[made].c0.index_information()


def test_for_people(taken: Site, client: Client, database: str) -> None:
    told = taken.told("restore", "latest")
    assert told.code == 0
    assert f"{database}.c0 → {database}_restored_" in told.out
    assert "never verified" in told.out
    assert "✓ restored 24 records" in told.out


def test_what_is_in_the_way_is_named_and_kept(taken: Site, client: Client, database: str) -> None:
    client[f"{database}_x"].c1.insert_one({"_id": "precious"})
    ended = taken.drtool("restore", "latest", "--rename", f"{database}={database}_x")
    assert (ended.code, ended.result["error"]["kind"]) == (20, "target-not-empty")
    assert f"{database}_x.c1: 1 document" in ended.result["error"]["message"]
    assert ended.result["occupied"] == [f"{database}_x.c1: 1 document"]
    assert "records" not in ended.result
    assert client[f"{database}_x"].list_collection_names() == ["c1"]
    assert list(client[f"{database}_x"].c1.find()) == [{"_id": "precious"}]


def test_a_new_database_must_be_empty_of_anything(taken: Site, client: Client, database: str) -> None:
    client[f"{database}_x"].something.insert_one({"_id": 1})
    ended = taken.drtool("restore", "latest", "--rename", f"{database}={database}_x")
    assert (ended.code, ended.result["occupied"]) == (20, [f"{database}_x.something: 1 document"])


def test_to_another_server_under_the_same_names(taken: Site, client: Client, other: Client, database: str) -> None:
    result = taken.ok("restore", "latest", "--to", shared(None).uri)[-1]
    assert result["target"] in shared(None).uri
    assert hashes(other, database) == hashes(client, database)
    assert _made(client, database) == []
    assert taken.drtool("restore", "latest", "--to", shared(None).uri).code == 20


def test_an_address_may_leave_its_password_to_the_environment(taken: Site, client: Client, database: str) -> None:
    address = shared(None).uri
    ended = taken.drtool("restore", "latest", "--dry-run", "--to", "${STANDBY}", env={"STANDBY": address})
    assert (ended.code, ended.result["target"] in address) == (0, True)
    unset = taken.drtool("restore", "latest", "--dry-run", "--to", "mongodb://u:${NOT_THERE}@127.0.0.1/")
    assert (unset.code, "NOT_THERE" in unset.result["error"]["message"]) == (2, True)


def test_predicts_by_what_was_measured(taken: Site, database: str) -> None:
    assert taken.ok("restore", "latest", "--dry-run")[-1]["expected_seconds"] is None
    taken.ok("verify", "--level", "restored")
    by_trial = taken.ok("restore", "latest", "--dry-run")[-1]["expected_seconds"]
    result = taken.ok("restore", "latest", "--rename", f"{database}={database}_x")[-1]
    by_restore = taken.ok("restore", "latest", "--dry-run")[-1]["expected_seconds"]
    assert by_trial >= 0
    assert by_restore == pytest.approx(result["seconds"], abs=0.1)


def test_only(taken: Site, client: Client, database: str) -> None:
    result = taken.ok("restore", "latest", "--only", f"{database}.c1")[-1]
    assert (result["streams"], result["records"]) == (1, 12)
    [made] = _made(client, database)
    assert client[made].list_collection_names() == ["c1"]


@pytest.mark.parametrize(("pattern", "streams"), [("{}.c*", 2), ("{}", 2), ("{}.*1", 1), ("t_*", 2), ("*.c0", 1)])
def test_only_by_patterns(taken: Site, database: str, pattern: str, streams: int) -> None:
    result = taken.ok("restore", "latest", "--dry-run", "--only", pattern.format(database))[-1]
    assert result["streams"] == streams


def test_rename(taken: Site, client: Client, database: str) -> None:
    taken.ok("restore", "latest", "--rename", f"{database}.c*={database}_y.old_c*")
    assert sorted(client[f"{database}_y"].list_collection_names()) == ["old_c0", "old_c1"]
    assert hashes(client, f"{database}_y")["old_c0"] == hashes(client, database)["c0"]


def test_rename_one_and_only_that(taken: Site, client: Client, database: str) -> None:
    arguments = ("--only", f"{database}.c0", "--rename", f"{database}.c0={database}.copy_of_c0")
    assert taken.ok("restore", "latest", *arguments)[-1]["streams"] == 1
    assert sorted(client[database].list_collection_names()) == ["c0", "c1", "copy_of_c0"]
    assert hashes(client, database)["copy_of_c0"] == hashes(client, database)["c0"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "nothing.like.it"), "--only nothing.like.it fits nothing"),
        (("--only", "{}.c0", "--only", "x"), "--only x fits nothing"),
        (("--rename", "x=y"), "--rename x=y fits nothing"),
        (("--only", "{}.c0", "--rename", "{}.c1={}.c2"), "fits nothing that is to be restored"),
        (("--rename", "x"), "write OLD=NEW"),
        (("--rename", "=x"), "write OLD=NEW"),
        (("--rename", "{}=a.b"), "either both sides"),
        (("--rename", "{}.c0=local.x"), "the database local belongs to the server"),
        (("--dry-run", "--rename", "{}=admin"), "the database admin belongs to the server"),
        (("--dry-run", "--rename", "{}.c0=b$.c"), "a database's name"),
        (("--rename", "{}.c0={}.z", "--rename", "{}.c1={}.z"), "would both be restored as"),
        (("--source", "x"), "no source 'x'"),
        (("--to", "localhost:27017"), "mongodb://"),
    ],
)
def test_options_that_make_no_sense(
    taken: Site, client: Client, database: str, options: tuple[str, ...], said: str
) -> None:
    names = client.list_database_names()
    ended = taken.drtool("restore", "latest", *(option.replace("{}", database) for option in options))
    assert ended.code == 2
    assert said in ended.result["error"]["message"]
    assert client.list_database_names() == names


def test_dry_run_writes_nothing(taken: Site, client: Client, database: str) -> None:
    names = client.list_database_names()
    result = taken.ok("restore", "latest", "--dry-run")[-1]
    assert (result["expected_records"], result["occupied"]) == (24, [])
    assert client.list_database_names() == names
    told = taken.told("restore", "latest", "--dry-run")
    assert "nothing was written" in told.out
    client[f"{database}_x"].c1.insert_one({"_id": "precious"})
    told = taken.told("restore", "latest", "--dry-run", "--rename", f"{database}={database}_x")
    assert (told.code, "in the way: " in told.out) == (0, True)
    assert told.out.endswith("the restore would be refused: 1 thing is in the way\n")
    again = taken.ok("restore", "latest", "--dry-run", "--rename", f"{database}={database}_x")[-1]
    assert (result["would_refuse"], again["would_refuse"]) == (False, True)


def test_a_failed_verification_is_told_before_a_restore(taken: Site, client: Client) -> None:
    taken.ok("verify", "--level", "restored")
    result = taken.ok("restore", "latest", "--dry-run")[-1]
    assert (result["level"], result["verification_failed"]) == ("restored", False)
    assert result["verified_at"] == taken.ok("snapshots")[0]["verified_at"]
    assert "identical" in taken.told("snapshots").out
    assert "FAILED" not in taken.told("restore", "latest", "--dry-run").out
    kept = {pack: pack.read_bytes() for pack in taken.objects("packs")}
    for pack in kept:
        pack.unlink()
    assert taken.drtool("verify", "--level", "listed").code == 4
    for pack, content in kept.items():
        pack.write_bytes(content)
    told = taken.told("restore", "latest", "--dry-run")
    assert "the LAST VERIFICATION FAILED" in told.out
    assert taken.ok("restore", "latest", "--dry-run")[-1]["verification_failed"] is True
    assert "identical" not in taken.told("snapshots").out


def test_an_error_names_what_is_incomplete_and_the_next_attempt_replaces_it(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_arguments: object) -> None:
        raise SourceError("the server went away")

    rename = ("--rename", f"{database}={database}_x")
    monkeypatch.setattr("drtool.sources.mongodb.target.load", load)
    ended = taken.drtool("restore", "latest", *rename)
    assert (ended.code, ended.result["error"]["message"]) == (1, "the server went away")
    assert "incomplete in " in ended.err
    assert f"{database}_x.c0, {database}_x.c1" in ended.err
    monkeypatch.undo()
    assert (
        f"{database}_x holds an unfinished restore of this snapshot"
        in taken.told("restore", "latest", "--dry-run", *rename).out
    )
    assert taken.ok("restore", "latest", *rename)[-1]["records"] == 24
    assert hashes(client, f"{database}_x") == hashes(client, database)


def test_what_the_template_excludes_is_what_restores_make(taken: Site, client: Client, database: str) -> None:
    from drtool.config.template import render_template

    excluded = yaml.safe_load(render_template("/srv/backups", "agent.key"))["sources"]["app"]["exclude"]
    taken.ok("restore", "latest")
    [made] = _made(client, database)
    config = yaml.safe_load(taken.config.read_text())
    config["sources"]["nightly"] |= {"databases": [database, made], "exclude": excluded}
    taken.config.write_text(yaml.safe_dump(config))
    taken.ok("config", "check")
    taken.backup()
    streams = [line["name"] for line in taken.ok("show", "latest")[:-1]]
    assert streams == [f"{database}.c0", f"{database}.c1"]


def test_over_the_source_is_refused(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    ended = taken.drtool("restore", "latest", "--to", taken.uri)
    assert (ended.code, len(ended.result["occupied"])) == (20, 2)
    assert hashes(client, database) == before


def test_head(taken: Site, database: str) -> None:
    old = taken.ok("snapshots")[0]["head"]
    taken.backup()
    new = taken.ok("snapshots")[1]["head"]
    for head in (old, new, new[:8], new.upper()):
        assert taken.drtool("restore", "latest", "--dry-run", "--expect-head", head).code == 0
    for head in ("0" * 64, new[:7], ""):
        ended = taken.drtool("restore", "latest", "--dry-run", "--expect-head", head)
        assert (ended.code, ended.result["error"]["kind"]) == (4, "rolled-back")


def test_a_new_host_says_that_freshness_is_unproven(taken: Site, database: str) -> None:
    head = taken.ok("snapshots")[0]["head"]
    assert "unproven" not in taken.drtool("restore", "latest", "--dry-run").err
    fresh = taken.elsewhere("fresh", has_agent=False)
    for _ in range(2):  # what it remembers since is no proof of what was before
        assert "unproven" in fresh.drtool("restore", "latest", "--dry-run").err
    assert "unproven" in fresh.drtool("verify", "--level", "listed").err
    newer = taken.elsewhere("newer")
    assert "unproven" not in newer.drtool("restore", "latest", "--dry-run", "--expect-head", head).err


def test_needs_the_identity(taken: Site, client: Client, database: str) -> None:
    bare = taken.elsewhere("bare", has_identity=False)
    ended = bare.drtool("restore", "latest")
    assert (ended.code, "identity" in ended.result["error"]["message"]) == (2, True)
    assert _made(client, database) == []


def test_the_identity_of_another_repository(taken: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", taken.uri, taken.jobs).set_up()
    (taken.directory / "identity.key").write_bytes((other.directory / "identity.key").read_bytes())
    ended = taken.drtool("restore", "latest")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "wrong-key")


def test_with_the_identity_alone_on_a_new_host(taken: Site, client: Client, database: str) -> None:
    fresh = taken.elsewhere("fresh", has_agent=False)
    assert fresh.ok("restore", "latest")[-1]["records"] == 24
    [made] = _made(client, database)
    assert hashes(client, made) == hashes(client, database)


def test_the_guides_configuration_for_a_host_that_is_gone(
    taken: Site, client: Client, other: Client, database: str, tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = guide.partition("## The host is gone")[2].partition("\n## ")[0]
    text = section.partition("```yaml\n")[2].partition("```")[0]
    text = text.replace("s3://acme-backups/prod", str(taken.store)).replace("/media/usb", str(taken.directory))
    new = tmp_path / "new"
    new.mkdir()
    (new / "drtool.yaml").write_text(text.replace("  app: ", "  nightly: ").replace("[app]", "[nightly]"))
    env = {"TARGET_URI": shared(None).uri, "HOME": str(new)}
    for line in ("snapshots", "show latest", "restore latest --to ${TARGET_URI}"):
        ended = drtool(*line.split(), "--json", cwd=new, env=env)
        assert ended.code == 0, ended.err
    assert ended.result["records"] == 24
    assert hashes(other, database) == hashes(client, database)


def test_an_older_snapshot(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    old = taken.ok("snapshots")[0]["snapshot"]
    client[database].c0.delete_many({})
    client[database].drop_collection("c1")
    taken.backup()
    taken.ok("restore", old, "--rename", f"{database}={database}_old")
    assert hashes(client, f"{database}_old") == before
    taken.ok("restore", "latest", "--rename", f"{database}={database}_new")
    assert client[f"{database}_new"].list_collection_names() == ["c0"]


def test_the_server_does_not_answer(taken: Site) -> None:
    ended = taken.drtool("restore", "latest", "--to", "mongodb://u:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=200")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable")
    assert "hunter2" not in ended.out + ended.err

"""``drtool backup``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.operations.joblock import job_lock
from drtool.repository.chain import read_catalogue
from drtool.repository.trust import REPOSITORY_NAME, LastGood, Revocation, chain_name, utc_now
from tests.cli.running import ROOT, command, environment
from tests.operations.site import Site, fill
from tests.sources.mongo import Client

FIELDS = {
    "type",
    "job",
    "snapshot",
    "consistency",
    "instant",
    "streams",
    "records",
    "bytes",
    "chunks",
    "seconds",
    "incremental",
    "ranges",
    "full_because",
}


def test_tells_what_scripts_rely_on(site: Site, client: Client, database: str) -> None:
    fill(client, database, collections=3)
    line, result = site.ok("backup")
    assert line.keys() >= FIELDS
    assert line["type"] == "backup"
    assert (line["job"], line["consistency"], line["streams"]) == ("nightly", "exact", 3)
    assert line["records"] == sum(client[database][f"c{n}"].count_documents({}) for n in range(3))
    assert abs(datetime.fromisoformat(line["instant"]) - datetime.now().astimezone()) < timedelta(minutes=2)
    assert line["bytes"].keys() == {"read", "new", "stored"}
    assert line["bytes"]["read"] == line["bytes"]["new"] > 0
    assert line["bytes"]["stored"] > 0
    assert line["chunks"] == {"total": 3, "new": 3}
    assert line["ranges"] == {"total": 3, "read": 3, "checked": 0}
    assert line["incremental"] is False
    assert result["snapshots"] == [line["snapshot"]]


def test_what_is_there_is_not_stored_again(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    packs = site.objects("packs")
    again = site.backup()
    assert (again["bytes"]["new"], again["bytes"]["stored"], again["chunks"]["new"]) == (0, 0, 0)
    assert site.objects("packs") == packs


def test_a_job_that_fails_does_not_keep_the_others_back(
    make_site: Callable[..., Site], client: Client, database: str
) -> None:
    fill(client, database)
    site = make_site(first=(database,), second=(database,))
    settings = load_config(site.config).repository
    with site.opened() as repository, job_lock(settings.state_dir / repository.id, "first"):
        ended = site.drtool("backup")
        assert site.drtool("backup", "first").code == 11
    assert ended.code == 3
    [failure, done] = ended.lines[:-1]
    assert (failure["type"], failure["job"], failure["kind"]) == ("failure", "first", "locked")
    assert ended.result["snapshots"] == [done["snapshot"]] == site.snapshots()
    assert "first" in ended.result["error"]["message"]


def test_for_people(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    ended = site.told("backup")
    assert ended.code == 0
    assert "✓ nightly: snapshot 2" in ended.out
    assert "records in 2 streams" in ended.out


def test_all_jobs_or_those_named(make_site: Callable[..., Site], client: Client, database: str) -> None:
    fill(client, database)
    site = make_site(a=(database,), b=(database,))
    assert [line["job"] for line in site.ok("backup")[:-1]] == ["a", "b"]
    assert [line["job"] for line in site.ok("backup", "b", "b")[:-1]] == ["b"]
    assert [line["job"] for line in site.ok("snapshots")[:-1]].count("b") == 2


def test_jobs_and_sources_that_are_not_there(site: Site) -> None:
    ended = site.drtool("backup", "nihgtly")
    assert (ended.code, ended.result["error"]["hint"]) == (2, "Jobs: nightly")
    ended = site.drtool("backup", "--source", "x")
    assert (ended.code, ended.result["error"]["hint"]) == (2, "Its sources: nightly")
    assert not site.objects("snapshots")


def test_dry_run_writes_nothing(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    before = {path: path.read_bytes() for path in site.objects("")}
    forecast, result = site.ok("backup", "--dry-run")
    assert (forecast["type"], forecast["streams"], forecast["records"]) == ("forecast", 2, 24)
    assert result["snapshots"] == []
    assert {path: path.read_bytes() for path in site.objects("")} == before


def test_empty_databases_are_backed_up_with_a_warning(make_site: Callable[..., Site], database: str) -> None:
    site = make_site(nightly=(database,))
    ended = site.drtool("backup")
    assert ended.code == 0
    assert (ended.lines[0]["streams"], ended.lines[0]["records"]) == (0, 0)
    assert database in ended.err
    assert site.ok("verify", "--level", "readable")[0]["ok"]


def test_one_run_of_a_job_at_a_time(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    settings = load_config(site.config).repository
    with site.opened() as repository, job_lock(settings.state_dir / repository.id, "nightly"):
        ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (11, "locked")
    assert not site.objects("snapshots")
    assert site.drtool("backup").code == 0


def test_two_at_once(make_site: Callable[..., Site], client: Client, database: str) -> None:
    fill(client, database, megabytes=1)
    site = make_site(a=(database,), b=(database,))

    def start(job: str) -> subprocess.Popen[str]:
        arguments = command("--config", str(site.config), "backup", job)
        return subprocess.Popen(
            arguments, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    processes = [start("a"), start("b")]
    try:
        ended = [process.communicate(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], ended
    assert len(site.snapshots()) == 2
    assert all(line["ok"] for line in site.ok("verify", "--level", "readable")[:-1])


@pytest.mark.parametrize("damage", ["", "nonsense", "{}"])
def test_agent_keys_that_are_none(site: Site, damage: str) -> None:
    (site.directory / "agent.key").write_text(damage)
    ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "key-file")
    assert str(site.directory / "agent.key") in ended.result["error"]["message"] or not damage


def test_an_identity_alone_writes_nothing(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    ended = site.elsewhere("other", has_agent=False).drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "wrong-key")
    assert "agent_key" in ended.result["error"]["hint"]
    assert not site.objects("packs") + site.objects("snapshots")


def test_a_revoked_agent_writes_nothing(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    with site.opened(reads_data=True) as repository:
        assert repository.identity is not None
        [chain] = read_catalogue(repository).snapshots
        end = {chain_name(repository.id, "nightly"): LastGood(1, chain.hash)}
        revocation = Revocation(repository.signer.public, utc_now(), end)
        revoked = repository.document.next(revocations=(revocation,)).sign(repository.identity.root_key)
    (site.store / REPOSITORY_NAME).write_bytes(revoked)
    ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "wrong-key")
    assert "revoked" in ended.result["error"]["message"]
    # What it wrote before still counts, for whoever reads with the identity.
    reader = site.elsewhere("reader", has_agent=False)
    assert len(reader.snapshots()) == 1
    assert reader.ok("verify", "--level", "readable")[0]["ok"]


def test_the_key_of_another_repository(site: Site, make_site: Callable[..., Site], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", site.uri, site.jobs).set_up()
    mixed = site.elsewhere("mixed", keys=other.directory)
    ended = mixed.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (12, "wrong-key")


def test_tags_go_into_the_snapshot(site: Site, client: Client, database: str) -> None:
    fill(client, database, megabytes=0.02)
    site.backup("--tag", "release", "--tag", "v2", "--tag", "release")
    site.backup()
    assert [line["tags"] for line in site.ok("snapshots")[:-1]] == [["release", "v2"], []]

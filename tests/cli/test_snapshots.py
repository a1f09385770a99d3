"""``drtool snapshots`` and ``drtool show``: what there is, and which snapshot a name means."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.operations.site import Site, fill
from tests.servers.process import wait_until
from tests.sources.mongo import Client

FIELDS = {
    "type",
    "snapshot",
    "job",
    "instant",
    "consistency",
    "level",
    "verified_at",
    "proof",
    "suspect",
    "bytes",
    "protected",
}


def test_tells_what_scripts_rely_on(site: Site, client: Client, database: str) -> None:
    assert "no snapshots yet" in site.told("snapshots").out
    fill(client, database)
    taken = [site.backup()["snapshot"] for _ in range(3)]
    site.ok("verify", taken[1], "--level", "intact")
    lines = site.ok("snapshots")[:-1]
    assert [line["snapshot"] for line in lines] == taken
    assert all(line.keys() >= FIELDS for line in lines)
    assert [line["level"] for line in lines] == ["none", "intact", "none"]
    assert [line["verified_at"] is None for line in lines] == [True, False, True]
    assert (lines[0]["consistency"], lines[0]["suspect"], lines[0]["protected"]) == ("exact", False, False)
    assert lines[0]["bytes"] > 0


def test_of_one_job(make_site: Callable[..., Site], client: Client, database: str) -> None:
    fill(client, database)
    site = make_site(a=(database,), b=(database,))
    site.ok("backup")
    assert [line["job"] for line in site.ok("snapshots", "b")[:-1]] == ["b"]
    ended = site.drtool("snapshots", "c")
    assert (ended.code, ended.result["error"]["hint"]) == (2, "There are snapshots of: a, b")


def test_show(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    taken = site.backup()
    *streams, result = site.ok("show", "latest")
    assert [(line["type"], line["name"]) for line in streams] == [
        ("stream", f"{database}.c0"),
        ("stream", f"{database}.c1"),
    ]
    assert sum(line["records"] for line in streams) == result["records"] == taken["records"]
    assert (result["snapshot"], result["number"], result["head"]) == (taken["snapshot"], 1, taken["head"])
    [source] = result["sources"]
    assert (source["name"], source["type"], source["topology"]) == ("nightly", "mongodb", "replica-set")
    told = site.told("show", taken["snapshot"][:18])
    assert told.code == 0
    for word in ("PROVABLE", taken["head"], f"nightly/{database}.c0", "not verified yet"):
        assert word in told.out


def test_needs_no_identity(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    bare = site.elsewhere("bare", has_identity=False)
    assert len(bare.snapshots()) == 1
    assert bare.drtool("show", "latest").code == 0


def test_latest_is_unclear_with_several_jobs(make_site: Callable[..., Site], client: Client, database: str) -> None:
    fill(client, database)
    site = make_site(a=(database,), b=(database,))
    first, second = (line["snapshot"] for line in site.ok("backup")[:-1])
    ended = site.drtool("show", "latest")
    assert (ended.code, ended.result["error"]["hint"]) == (2, "Say which: a@latest, b@latest")
    assert site.ok("show", "a@latest")[-1]["snapshot"] == first
    assert site.ok("show", "b@latest")[-1]["snapshot"] == second


def test_latest_of_several_in_one_second(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    taken = [site.backup()["snapshot"] for _ in range(4)]
    assert site.ok("show", "latest")[-1]["snapshot"] == taken[-1]
    assert site.snapshots() == taken


def test_latest_verified(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    taken = [site.backup()["snapshot"] for _ in range(2)]
    ended = site.drtool("show", "latest-verified")
    assert (ended.code, ended.result["error"]["kind"]) == (10, "no-such-snapshot")
    assert "drtool verify" in ended.result["error"]["hint"]
    site.ok("verify", taken[0], "--level", "readable")
    site.ok("verify", taken[1], "--level", "intact")
    assert site.ok("show", "latest-verified")[-1]["snapshot"] == taken[0]
    assert site.ok("show", "nightly@latest-verified")[-1]["snapshot"] == taken[0]


def test_by_time(site: Site, client: Client, database: str) -> None:
    fill(client, database, megabytes=0.05)
    first = site.backup()
    client[database].c0.insert_one({"_id": "later"})
    after = datetime.fromisoformat(first["instant"]) + timedelta(seconds=1)
    wait_until(lambda: time.time() > after.timestamp(), "the next second")
    client[database].c0.insert_one({"_id": "later still"})
    second = site.backup()
    assert second["instant"] > first["instant"]

    moment = datetime.fromisoformat(second["instant"]) + timedelta(hours=1)
    found = site.ok("show", f"nightly@{moment.isoformat()}")[-1]
    assert (found["snapshot"], found["distance"]) == (second["snapshot"], 3600)
    told = site.told("show", f"nightly@{moment.isoformat()}")
    assert "taken 1 h before the time asked for" in told.out

    between = datetime.fromisoformat(second["instant"]) - timedelta(microseconds=1)
    assert site.ok("show", f"nightly@{between.isoformat()}")[-1]["snapshot"] == first["snapshot"]
    exactly = second["instant"].replace("+00:00", "Z")
    assert site.ok("show", f"nightly@{exactly}")[-1]["snapshot"] == second["snapshot"]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("20010101t000000z", 10, "begins with"),
        ("other@latest", 10, "nightly"),
        ("nightly@2001-01-01T00:00:00Z", 10, "oldest"),
        ("nightly@2026-01-01T00:00:00", 2, "no time zone"),
        ("nightly@2026-01-01", 2, "no time zone"),
        ("nightly@yesterday", 2, "neither"),
        ("nightly@", 2, "neither"),
        ("", 10, "begin"),
    ],
)
def test_names_that_name_nothing(site: Site, client: Client, database: str, name: str, code: int, said: str) -> None:
    fill(client, database, megabytes=0.02)
    site.backup()
    site.backup()
    ended = site.drtool("show", name)
    assert ended.code == code
    error = ended.result["error"]
    assert said in error["message"] + error["hint"]
    if "time zone" in said:
        assert "2026-01-01T00:00:00Z or 2026-01-01T00:00:00+" in error["hint"].replace("00-", "00+")


def test_ids_by_prefix(site: Site, client: Client, database: str) -> None:
    fill(client, database, megabytes=0.02)
    taken = [site.backup()["snapshot"] for _ in range(2)]
    assert site.ok("show", taken[0])[-1]["snapshot"] == taken[0]
    ended = site.drtool("show", str(datetime.now(UTC).year))
    assert (ended.code, all(id_ in ended.result["error"]["hint"] for id_ in taken)) == (10, True)

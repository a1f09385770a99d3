"""First backups of MongoDB that helpers read."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from bson import ObjectId

from drtool.operations.backup.intake.helpers import Helpers, Reading
from drtool.operations.backup.intake.units import Taken
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.view import MongoView
from tests.operations.site import Site, fill, hashes, helped
from tests.servers.guarded import guarded_set
from tests.sources.mongo import Client, Document, unique_database

_DAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def filled(client: Client) -> Iterator[str]:
    """A database of all kinds of collections: several chunks, and documents longer than what is handed over at once."""
    name = unique_database(client)
    database = client[name]
    fill(client, name, megabytes=4, collections=2)
    chance = random.Random(7)
    database.long.insert_many([{"_id": number, "x": chance.randbytes(7_000_000)} for number in range(3)])
    database.ids.insert_many([{"_id": ObjectId(f"{number * 7919:024x}"), "x": "y" * 300} for number in range(5000)])
    database.vectors.insert_many(
        [{"_id": str(each), "v": [chance.random() for _ in range(300)]} for each in range(400)]
    )
    database.create_collection("round", capped=True, size=1_000_000).insert_many([{"n": each} for each in range(100)])
    series: Document = {"timeField": "at", "metaField": "who"}
    database.create_collection("series", timeseries=series).insert_many([{"at": _DAY, "who": n % 3} for n in range(50)])
    database.create_collection("empty")
    database.command("create", "seen", viewOn="ids", pipeline=[])
    yield name
    client.drop_database(name)
    client.drop_database(f"{name}_back")


@pytest.fixture
def site(tmp_path: Path, uri: str, filled: str) -> Site:
    """A host that never backed it up."""
    return Site(tmp_path, uri, {"nightly": (filled,)}).set_up()


def test_the_snapshot_is_that_of_one_process(site: Site, client: Client, filled: str) -> None:
    with helped(), mock.patch.object(Reading, "take", autospec=True, side_effect=Reading.take) as taken:
        first = site.backup()
    assert {call.args[1].stream.name.partition(".")[2] for call in taken.call_args_list} >= {"c0", "long", "vectors"}
    assert first["consistency"] == "exact"
    assert first["chunks"]["new"] == first["chunks"]["total"] > 10
    again = site.backup("--full")
    assert again["chunks"] == {"total": first["chunks"]["total"], "new": 0}
    assert site.backup()["incremental"]
    assert all(line["ok"] for line in site.ok("verify", "--level", "readable")[:-1])
    site.ok("restore", "nightly@latest", "--rename", f"{filled}={filled}_back")
    restored, original = hashes(client, f"{filled}_back"), hashes(client, filled)
    assert {**restored, "system.views": ""} == {**original, "system.views": ""}  # it names the database


@pytest.mark.heavy
def test_later_backups_have_none(site: Site) -> None:
    with helped(), mock.patch.object(Helpers, "__init__", autospec=True, side_effect=Helpers.__init__) as made:
        site.backup()
        assert made.call_count == 1
        site.backup()
        site.backup("--full")
    assert made.call_count == 1


def test_one_that_is_killed_ends_the_run_and_the_next_goes_on(site: Site) -> None:
    real = Reading.take

    def kill_then_take(self: Reading, *arguments: Any) -> Taken:
        os.kill(self._helpers[0].process, signal.SIGKILL)
        return real(self, *arguments)

    with helped(), mock.patch.object(Reading, "take", kill_then_take):
        ended = site.drtool("backup")
    assert ended.code == 1
    assert "ended unexpectedly (exit code -9)" in ended.result["error"]["message"]
    assert "limits.memory" in ended.result["error"]["hint"]
    assert site.snapshots() == []
    assert site.backup()["consistency"] == "exact"
    assert all(line["ok"] for line in site.ok("verify", "--level", "readable")[:-1])


def test_the_instant_moves_away(site: Site, client: Client, filled: str) -> None:
    """A collection that is dropped before a helper comes to it: the next round goes on without it."""
    real = MongoView.elsewhere

    def drop_first(self: MongoView) -> Any:
        client[filled].long.drop()
        return real(self)

    with helped(), mock.patch.object(MongoView, "elsewhere", drop_first):
        line = site.backup()
    assert line["consistency"] == "exact"
    assert site.backup("--full")["chunks"]["new"] == 0
    assert all(each["ok"] for each in site.ok("verify", "--level", "readable")[:-1])


@pytest.mark.heavy
def test_with_access_control(tmp_path: Path) -> None:
    real = MongoView.elsewhere
    with guarded_set(find_mongod()) as guarded, guarded.connect() as root, guarded.user("backup") as uri:
        fill(root, "app", megabytes=2)
        site = Site(tmp_path, uri, {"nightly": ("app",), "late": ("app",)}).set_up()
        with helped(), mock.patch.object(Reading, "take", autospec=True, side_effect=Reading.take) as taken:
            site.backup("nightly")
        assert taken.call_count
        assert site.backup("nightly", "--full")["chunks"]["new"] == 0

        def refuse(self: MongoView) -> Any:
            root.admin.command({"updateUser": uri.partition("//")[2].partition(":")[0], "pwd": "another"})
            return real(self)

        with helped(), mock.patch.object(MongoView, "elsewhere", refuse):
            ended = site.drtool("backup", "late")
        assert ended.code == 1
        assert ended.result["error"]["kind"] == "authentication"
        assert "reading app.c" in ended.result["error"]["message"]
        assert "credentials" in ended.result["error"]["hint"] or "password" in ended.result["error"]["hint"]

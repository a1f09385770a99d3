"""Writes that leave no trace in the oplog, because a member ran standalone: the increments' own check finds them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml
from pymongo.errors import AutoReconnect

from drtool.errors import UnreachableError
from drtool.operations.backup.rounds import Rounds
from drtool.sources.mongodb.binary import find_mongod
from tests.operations.site import Site, connect, hashes
from tests.servers.mongod import shared
from tests.servers.process import free_port, running, wait_until
from tests.sources.mongo import Client

_SET = "planted"


class Member:
    """A mongod on a directory that outlives it: as a replica set of one node, or standalone."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._port = directory, free_port()
        directory.joinpath("data").mkdir()

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    @contextlib.contextmanager
    def started(self, *, standalone: bool = False) -> Iterator[Client]:
        """Run it; it ends in good order."""
        command = [str(find_mongod()), "--dbpath", str(self._directory / "data"), "--bind_ip", "127.0.0.1"]
        command += ["--port", str(self._port), "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
        command += [] if standalone else ["--replSet", _SET, "--oplogSize", "64"]
        log = self._directory / "log"
        with running(command, lambda: "aiting for connections" in log.read_text(errors="replace"), log):
            with connect(self.uri) as client:
                if not standalone:
                    self._become_primary(client)
                yield client
                with contextlib.suppress(AutoReconnect):  # it closes the connection that it is told by
                    client.admin.command({"shutdown": 1, "force": True, "timeoutSecs": 0})
            wait_until(lambda: '"exitCode":0' in log.read_text(errors="replace"), "mongod to end")

    def _become_primary(self, client: Client) -> None:
        if not client["local"]["system.replset"].find_one():
            member = {"_id": 0, "host": f"127.0.0.1:{self._port}"}
            client.admin.command("replSetInitiate", {"_id": _SET, "members": [member]})
        wait_until(lambda: bool(client.admin.command("hello")["isWritablePrimary"]), "a primary")


@pytest.mark.heavy
def test_a_planted_difference_makes_the_chain_suspect(tmp_path: Path) -> None:
    shared()  # skips where there is no mongod
    (tmp_path / "member").mkdir()
    member = Member(tmp_path / "member")
    site = Site(tmp_path, member.uri, {"nightly": ("app",)})
    with member.started() as client:
        chance = random.Random(1)
        client.app.c.insert_many([{"_id": n, "x": chance.randbytes(2000)} for n in range(3000)])
        site.set_up()
        first = site.backup()
        client.app.c.insert_one({"_id": 5000})
        second = site.backup()
        site.ok("verify", "--level", "readable")
    with member.started(standalone=True) as client:
        client.app.c.update_one({"_id": 700}, {"$set": {"planted": True}})
    with member.started() as client:
        third = _without_a_check(site)
        with mock.patch.object(Rounds, "_start_over", side_effect=UnreachableError("the server went away")):
            assert site.drtool("backup").code == 1
        _set_check(site, "0%")
        ended = site.drtool("backup")
        assert ended.code == 4, ended.out
        line, result = ended.lines[-2:]
        assert line["full_because"] == "the source did not tell of a change in app.c, as an earlier run found"
        assert (line["incremental"], line["consistency"]) == (False, "exact")
        assert line["suspect"] == [second["snapshot"], third["snapshot"]]
        assert result["error"]["kind"] == "verification-failed"
        assert result["snapshots"] == [line["snapshot"]]
        _check_what_is_told(site, first["snapshot"], second["snapshot"])
        site.ok("restore", line["snapshot"], "--rename", "app=back")
        assert hashes(client, "back") == hashes(client, "app")
        assert site.backup()["incremental"]


def _without_a_check(site: Site) -> dict[str, object]:
    """An increment that takes over what it should not."""
    _set_check(site, "0%")
    line = site.backup()
    assert line["incremental"]
    _set_check(site, "100%")
    return line


def _set_check(site: Site, share: str) -> None:
    settings = yaml.safe_load(site.config.read_text())
    settings["jobs"]["nightly"]["check"] = share
    site.config.write_text(yaml.safe_dump(settings))


def _check_what_is_told(site: Site, first: str, second: str) -> None:
    listed = {line["snapshot"]: line["suspect"] for line in site.ok("snapshots")[:-1]}
    assert (listed[first], listed[second], sum(listed.values())) == (False, True, 2)
    assert "SUSPECT" in site.told("snapshots").out
    assert site.ok("show", second)[-1]["suspect"] is True
    assert "SUSPECT" in site.told("show", second).out
    # The second was verified, but what it never got no verification can miss.
    assert site.ok("show", "latest-verified")[-1]["snapshot"] == first
    dry = site.drtool("restore", second, "--dry-run")
    assert dry.result["suspect"] is True
    assert "suspect" in dry.err


@pytest.mark.parametrize("setting", ["3", "101%", "-1%", "two"])
def test_a_check_is_a_percentage(site: Site, setting: str) -> None:
    _set_check(site, setting)
    ended = site.drtool("config", "check")
    assert ended.code == 2
    assert "jobs.nightly.check: must be a percentage from 0% to 100%, such as 2%" in ended.out + ended.err

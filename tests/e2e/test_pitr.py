"""Archiving through everything that happens to servers and processes: elections, restarts, lost oplog, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ROOT, command, environment
from tests.e2e.test_interruption import halted
from tests.operations.pitr.site import OwnServer, next_second, note, own_server, step_down
from tests.operations.pitr.test_pitr import back, capture, state
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.mongod import shared
from tests.servers.process import wait_until
from tests.sources.mongo import Client, unique_database

pytestmark = pytest.mark.heavy

DATABASE = "app"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    """A server of one's own, not started yet."""
    with own_server(tmp_path / "mongod") as found:
        yield found


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Site, Client]]:
    """A host with a snapshot, an archive, and something that is not archived yet."""
    uri = shared("pitr").uri
    with connect(uri) as client:
        name = unique_database(client)
        fill(client, name)
        site = Site(tmp_path, uri, {"nightly": (name,)}).set_up()
        site.backup()
        capture(site)
        client[name].more.insert_many([{"_id": number, "x": os.urandom(20_000)} for number in range(60)])
        yield site, client
        for found in client.list_database_names():
            if found.startswith(name):
                client.drop_database(found)


def _taken(directory: Path, server: OwnServer, client: Client) -> Site:
    """A host with a snapshot from which an archive leads on."""
    fill(client, DATABASE)
    site = Site(directory, server.uri, {"nightly": (DATABASE,)}).set_up()
    site.backup()
    capture(site)
    return site


def test_an_election(busy: tuple[Site, Client]) -> None:
    site, client = busy
    [name] = site.jobs["nightly"]
    first = capture(site)["timeline"]
    client[name].c0.insert_one({"_id": "in the old term"})
    step_down(client)
    client[name].c0.insert_one({"_id": "in the new term"})
    moment, held = next_second(client), hashes(client, name)
    assert capture(site)["timeline"] == first
    [timeline] = state(site)["timelines"]
    assert (timeline["gaps"], state(site)["problems"]) == ([], [])
    assert back(site, client, name, "--at", moment.isoformat()) == held


def test_an_oplog_that_was_too_small(tmp_path: Path, server: OwnServer) -> None:
    client = server.initiate()
    site = _taken(tmp_path, server, client)
    for number in range(20):
        client[DATABASE].c0.insert_one({"_id": f"lost{number}"})
        note(client)
    reachable = capture(site)
    for number in range(20):
        client[DATABASE].c0.insert_one({"_id": f"never archived{number}"})
        note(client)
    client = server.forget_oplog(keep=5)
    ended = site.drtool("pitr", "capture")
    assert (ended.code, ended.result["error"]["kind"]) == (3, "partial")
    assert "no moment between the two can be reached" in ended.lines[0]["lost"]
    assert ended.lines[0]["timeline"] == reachable["timeline"]
    for _ in range(2):  # the alarm does not go by itself
        ended = site.drtool("-q", "pitr", "capture")
        assert (ended.code, ended.lines[0]["lost"]) == (0, "")
        assert "no snapshot leads into what is being archived" in ended.err
    assert site.drtool("pitr", "status").code == 3
    found = state(site)
    [gap] = found["timelines"][0]["gaps"]
    assert gap["from"] == reachable["archived_to"]
    assert "no snapshot leads to what is being archived" in found["problems"][0]
    moment = next_second(client)
    capture(site)
    refused = site.drtool("restore", "latest", "--at", moment.isoformat())
    assert (refused.code, refused.result["error"]["kind"]) == (10, "out-of-reach")
    assert gap["from"] in refused.result["error"]["message"]
    site.backup()
    client[DATABASE].c1.delete_many({})
    moment, held = next_second(client), hashes(client, DATABASE)
    assert site.drtool("-q", "pitr", "capture").err == ""
    assert back(site, client, DATABASE, "--at", moment.isoformat()) == held
    found = state(site)
    assert (found["ok"], "gap" in found["problems"][0]) == (True, True)
    searched = site.drtool("pitr", "find", "--ns", f"{DATABASE}.c1", "--op", "delete")
    assert (searched.code, [line["count"] for line in searched.lines[:-1]]) == (3, [12])
    assert [{"from": one["from"], "to": one["to"]} for one in searched.result["gaps"]] == [gap]


def test_another_set_at_the_same_address(busy: tuple[Site, Client]) -> None:
    site, client = busy
    [name] = site.jobs["nightly"]
    first = capture(site)["timeline"]
    other = replace(site, uri=shared().uri).write_config()
    second = capture(other)
    assert second["timeline"] != first
    assert "another replica set" in second["new_timeline"]
    assert [timeline["current"] for timeline in state(site)["timelines"]] == [False, True]
    assert "no snapshot leads" in state(site)["problems"][0]
    # Back again: the snapshot leads into a timeline of its own set, not into the other's.
    client[name].c0.insert_one({"_id": 1000})
    moment, held = next_second(client), hashes(client, name)
    third = capture(site.write_config())
    assert third["timeline"] not in (first, second["timeline"])
    assert back(site, client, name, "--at", moment.isoformat()) == held


def test_a_server_put_back_to_an_older_state(tmp_path: Path, server: OwnServer) -> None:
    client = server.initiate()
    site = _taken(tmp_path, server, client)
    note(client)
    server.stop()
    saved = tmp_path / "saved"
    subprocess.run(["cp", "-a", str(server.directory), str(saved)], check=True)
    client = server.start()
    wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], "a primary")
    client[DATABASE].c0.insert_one({"_id": "undone"})
    next_second(client)
    first = capture(site)
    server.stop()
    subprocess.run(["rm", "-r", str(server.directory)], check=True)
    saved.rename(server.directory)
    client = server.restart()
    client[DATABASE].c0.insert_one({"_id": "done"})
    moment, held = next_second(client), hashes(client, DATABASE)
    second = capture(site)
    assert second["timeline"] != first["timeline"]
    # The snapshot is older than where the histories part: it leads into both.
    assert all(timeline["ranges"] for timeline in state(site)["timelines"])
    assert back(site, client, DATABASE, "--at", moment.isoformat()) == held


@pytest.mark.parametrize("moment", ["before:oplog/:1", "after:oplog/:1"])
def test_killed(busy: tuple[Site, Client], moment: str) -> None:
    site, client = busy
    [name] = site.jobs["nightly"]
    with halted(site, moment, "pitr", "capture") as process:
        ended = site.drtool("pitr", "capture")
        assert (ended.code, ended.result["error"]["kind"]) == (11, "locked")
        assert str(process.pid) in ended.result["error"]["message"]
        assert site.drtool("pitr", "capture", "--follow").code == 11
        process.kill()
        process.communicate()
    at, held = next_second(client), hashes(client, name)
    capture(site)
    found = state(site)
    assert (len(found["timelines"]), found["timelines"][0]["gaps"], found["problems"]) == (1, [], [])
    spans = [path.name.split("-") for path in site.objects("oplog")]
    assert [end for _, end in spans][:-1] == [start for start, _ in spans][1:]
    assert back(site, client, name, "--at", at.isoformat()) == held


@contextmanager
def _following(site: Site, log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as out, log.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            command("--config", str(site.config), "--json", "pitr", "capture", "--follow", "--every", "0.2s"),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _captured(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def test_a_service(tmp_path: Path, server: OwnServer) -> None:
    client = server.initiate()
    site = _taken(tmp_path, server, client)
    log = tmp_path / "follow"

    def archived(what: str) -> None:
        before = len(_captured(log))
        client[DATABASE].c0.insert_one({"_id": what})
        wait_until(lambda: len(_captured(log)) > before or process.poll() is not None, what)
        assert process.poll() is None, log.with_suffix(".err").read_text()

    with _following(site, log) as process:
        archived("at first")
        step_down(client)
        archived("after an election")
        server.stop()
        wait_until(lambda: "trying again" in log.with_suffix(".err").read_text(), "the outage to be told")
        client = server.start()
        wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], "a primary")
        archived("after a restart")
        client[DATABASE].c1.insert_one({"_id": "just before the end"})
        moment, held = next_second(client), hashes(client, DATABASE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.with_suffix(".err").read_text()
    assert _captured(log)[-1]["type"] == "result"
    found = state(site)
    assert (len(found["timelines"]), found["timelines"][0]["gaps"], found["problems"]) == (1, [], [])
    assert back(site, client, DATABASE, "--at", moment.isoformat()) == held

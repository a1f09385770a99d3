"""A server that was put back to an older state: which of its histories a restore follows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from drtool.sources.log import Anchor, LogPosition
from tests.operations.pitr.site import next_second, note, own_server
from tests.operations.site import Site
from tests.sources.mongo import Client, source_of

pytestmark = pytest.mark.heavy

DATABASE = "app"


@dataclass(frozen=True)
class SetBack:
    """A server that was put back to a copy of its files.

    Before the copy: snapshot ``first``, then ``copied``. After it, undone: ``ordered``, snapshot ``second`` and a drop
    at ``dropped``; all that is archived, up to ``ended``. After the setback: ``again``.
    """

    site: Site
    client: Client
    first: str
    second: str
    ordered: datetime
    dropped: str
    ended: datetime
    again: datetime
    old: str
    new: str

    def restored(self, *arguments: str) -> list[str]:
        """What is in the collection after a restore."""
        self.client.drop_database("back")
        self.site.ok("restore", "latest", "--rename", f"{DATABASE}=back", *arguments)
        return sorted(each["_id"] for each in self.client.back.a.find())

    def refused(self, *arguments: str) -> dict[str, Any]:
        """The error of a restore."""
        error: dict[str, Any] = self.site.drtool("restore", "latest", "--dry-run", *arguments).result["error"]
        return error


@pytest.fixture(scope="module")
def set_back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SetBack]:
    """One for all of these tests, which only read."""
    directory = tmp_path_factory.mktemp("timelines")
    with own_server(directory / "data") as server:
        client = server.initiate()
        site = Site(directory, server.uri, {"nightly": (DATABASE,)}).set_up()
        client[DATABASE].a.insert_one({"_id": "held"})
        first = site.backup()["snapshot"]
        site.ok("pitr", "capture")
        client[DATABASE].a.insert_one({"_id": "copied"})
        next_second(client)
        server.stop()
        shutil.copytree(server.directory, directory / "copy")
        client = server.restart()
        client[DATABASE].a.insert_one({"_id": "ordered"})
        ordered = next_second(client)
        second = site.backup()["snapshot"]
        client[DATABASE].a.drop()
        ended = next_second(client)
        old = site.ok("pitr", "capture")[0]["timeline"]
        dropped = site.ok("pitr", "find", "--ns", f"{DATABASE}.a", "--op", "drop")[0]["position"]
        next_second(client)  # not archived: what happened then is lost
        server.stop()
        shutil.rmtree(server.directory)
        (directory / "copy").rename(server.directory)
        client = server.restart()
        client[DATABASE].a.insert_one({"_id": "again"})
        again = next_second(client)
        note(client)
        new = site.ok("pitr", "capture")[0]["timeline"]
        assert new != old
        yield SetBack(site, client, first, second, ordered, dropped, ended, again, old, new)


def test_a_moment_that_was_undone(set_back: SetBack) -> None:
    moment = ("--at", set_back.ordered.isoformat())
    assert set_back.restored(*moment) == ["copied", "held", "ordered"]
    assert set_back.restored(*moment, "--timeline", set_back.new[:8]) == ["copied", "held"]


def test_a_moment_after_it(set_back: SetBack) -> None:
    # The second snapshot is nearer, and of the history that was undone.
    assert set_back.restored("--at", set_back.again.isoformat()) == ["again", "copied", "held"]
    refused = set_back.site.drtool("restore", set_back.second, "--at", set_back.again.isoformat())
    assert (refused.code, refused.result["error"]["kind"]) == (10, "out-of-reach")


def test_a_moment_of_which_nothing_is_archived(set_back: SetBack) -> None:
    moment = ("--at", (set_back.ended + timedelta(seconds=1)).isoformat())
    error = set_back.refused(*moment)
    assert (error["kind"], set_back.old[:8] in error["message"]) == ("out-of-reach", True)
    assert f"--timeline {set_back.new[:8]}" in error["hint"]
    assert set_back.restored(*moment, "--timeline", set_back.new) == ["copied", "held"]


def test_before_an_operation_that_was_undone(set_back: SetBack) -> None:
    assert set_back.restored("--before", set_back.dropped) == ["copied", "held", "ordered"]
    error = set_back.refused("--before", set_back.dropped, "--timeline", set_back.new)
    assert (error["kind"], "no entry" in error["message"]) == ("usage", True)
    assert set_back.old[:8] in error["message"] + error["hint"]
    seconds = set_back.dropped.partition(":")[0]
    error = set_back.refused("--before", f"{seconds}:4000000")
    assert "any of the 2 timelines" in error["message"]


def test_which_entries_a_log_holds(set_back: SetBack) -> None:
    oplog = set_back.client["local"]["oplog.rs"]
    [first] = oplog.find({"t": 1}).sort("$natural", 1).skip(1).limit(1)
    [last] = oplog.find({"t": 2}).sort("$natural", 1).limit(1)
    log = source_of(set_back.site.uri).log()
    assert log is not None
    with closing(log.open()) as live:
        since = (first["ts"].time, first["ts"].inc)
        begun = live.begin([Anchor(LogPosition((last["ts"].time, last["ts"].inc), 2), since)])
        held = LogPosition((last["ts"].time, last["ts"].inc), 2)
        others = [replace(held, term=1), replace(held, mark="1"), replace(held, at=(held.at[0], 4_000_000))]
        unknown = [replace(held, at=(1, 1)), replace(held, at=((1 << 32) - 1, 1))]
        assert live.lacks([held, *others, *unknown]) == others
    assert (begun.at, begun.term) == ((since[0], since[1] - 1), 1)


def test_status_tells_what_leads_where(set_back: SetBack) -> None:
    found = {each["timeline"]: each["ranges"] for each in set_back.site.ok("pitr", "status")[0]["timelines"]}
    [old], [new] = found[set_back.old], found[set_back.new]
    assert old["snapshots"] == [set_back.first, set_back.second]
    assert new["snapshots"] == [set_back.first]

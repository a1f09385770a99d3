"""Another member becomes primary while drtool works: the right result, or an error that says so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from pymongo.errors import PyMongoError

from drtool.errors import MissingToolError
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import KeyRange, StreamInfo
from drtool.sources.restoring import Loaded, RestoreItem
from tests.operations.pitr.site import next_second
from tests.operations.pitr.test_pitr import back, capture, state
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.process import wait_until
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy


@dataclass(frozen=True)
class _Pair:
    """Two members that may both become primary, and a client of the set."""

    members: tuple[Server, Server]
    uri: str
    client: Client

    def primary(self) -> str:
        """Its host and port, once there is one that takes writes."""
        found: list[str] = []

        def is_there() -> bool:
            try:
                hello = self.client.admin.command("hello")
            except PyMongoError:
                return False
            found[:] = [hello["me"]] if hello["isWritablePrimary"] else []
            return bool(found)

        wait_until(is_there, "a primary")
        return found[0]

    def fail_over(self) -> None:
        """The other member becomes primary."""
        before = self.primary()
        self.wait_until_level()
        [other] = [member for member in self.members if f"127.0.0.1:{member.port}" != before]
        with connect(other.uri) as client:

            def is_elected() -> bool:
                with contextlib.suppress(PyMongoError):  # it may be behind still
                    client.admin.command("replSetStepUp")
                return self.primary() != before

            wait_until(is_elected, "the other member to be primary")

    def may_fail_over(self) -> bool:
        """Is the second member a secondary with a vote?"""
        status = self.client.admin.command("replSetGetStatus")
        states = sorted(member["stateStr"] for member in status["members"])
        return (states, status["votingMembersCount"]) == (["PRIMARY", "SECONDARY"], 2)

    def wait_until_level(self) -> None:
        """Both members hold what was written so far, and know that they do."""
        written = self.client.admin.command("hello")["lastWrite"]["opTime"]["ts"]

        def are_level() -> bool:
            for member in self.members:
                with connect(member.uri) as client:
                    if client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"] < written:
                        return False
            return True

        wait_until(are_level, "both members to hold the same")


@pytest.fixture(scope="module")
def pair() -> Iterator[_Pair]:
    """Started for these tests."""
    try:
        program = find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    first = ServerOptions(replica_set="pair", oplog_mb=100)
    second = ServerOptions(arguments=("--replSet", "pair", "--oplogSize", "100"))
    with running(program, first) as one, running(program, second) as other:
        hosts = [f"127.0.0.1:{member.port}" for member in (one, other)]
        with connect(one.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            config["members"].append({"_id": 1, "host": hosts[1]})
            client.admin.command({"replSetReconfig": config})
        uri = f"mongodb://{','.join(hosts)}/?replicaSet=pair"
        with connect(uri) as client:
            found = _Pair((one, other), uri, client)
            wait_until(found.may_fail_over, "the second member to vote")
            yield found


@contextmanager
def _before_second_stream(action: Callable[[], None]) -> Iterator[None]:
    """Inside, `action` is done after the first stream of a backup was read and before the second."""
    real = MongoView.chunks
    count = 0

    def chunks(self: MongoView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        nonlocal count
        count += 1
        if count == 2:
            action()
        yield from real(self, stream, part, rule)

    with mock.patch.object(MongoView, "chunks", chunks):
        yield


def test_in_the_middle_of_a_backup(tmp_path: Path, pair: _Pair) -> None:
    """The member that is read goes on as a secondary: the instant is one that no election can undo."""
    client, database = pair.client, "dumped"
    fill(client, database, megabytes=1, collections=3)
    held = hashes(client, database)
    site = Site(tmp_path, pair.uri, {"nightly": (database,)}, limits={"readers": 1}).set_up()

    def change() -> None:
        pair.fail_over()
        for name in ("c1", "c2"):
            client[database][name].update_one({"_id": 3}, {"$set": {"n": -1}})
        pair.wait_until_level()

    read_from = pair.primary()
    with _before_second_stream(change):
        line = site.backup()
    assert pair.primary() != read_from
    assert line["consistency"] == "exact"
    site.ok("restore", "latest", "--rename", f"{database}={database}_back")
    assert hashes(client, f"{database}_back") == held
    # The next one reads the other member, and finds in its oplog what changed since.
    client[database].c1.update_one({"_id": 1}, {"$set": {"n": -2}})
    after = site.backup()
    assert (after["incremental"], after["consistency"], after["full_because"]) == (True, "exact", "")
    site.ok("restore", "latest", "--rename", f"{database}={database}_after")
    assert hashes(client, f"{database}_after") == hashes(client, database)


def test_between_two_passes_of_archiving(tmp_path: Path, pair: _Pair) -> None:
    client, database = pair.client, "archived"
    fill(client, database)
    site = Site(tmp_path, pair.uri, {"nightly": (database,)}).set_up()
    site.backup()
    first = capture(site)
    client[database].c0.delete_many({"n": 1})
    pair.fail_over()
    client[database].c0.delete_many({"n": 2})
    moment, held = next_second(client).isoformat(), hashes(client, database)
    second = capture(site)
    assert (second["timeline"], second["lost"], second["new_timeline"]) == (first["timeline"], "", "")
    assert state(site)["timelines"][0]["gaps"] == []
    assert back(site, client, database, "--at", moment) == held


def test_in_the_middle_of_a_restore(tmp_path: Path, pair: _Pair) -> None:
    client, database = pair.client, "restored"
    fill(client, database, megabytes=1)
    site = Site(tmp_path, pair.uri, {"nightly": (database,)}, limits={"readers": 1}).set_up()
    site.backup()
    pinned = f"mongodb://{pair.primary()}/?directConnection=true"
    client.drop_database(database)
    real = MongoTarget.load
    done = False

    def load(self: MongoTarget, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        nonlocal done
        if not done:
            done = True
            pair.fail_over()
        return real(self, item, chunks)

    with mock.patch.object(MongoTarget, "load", load):
        ended = site.drtool("restore", "latest", "--to", pinned)
    assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable"), ended.out + ended.err
    assert "Another member was elected" in ended.result["error"]["hint"]
    assert "not to be used" in ended.err
    assert "records" not in ended.result
    again = site.ok("restore", "latest", "--to", pair.uri)[-1]
    assert again["records"] == again["expected_records"]
    assert "drtool_restore" not in client[database].list_collection_names()

"""Level ``restored`` finds whatever the sandbox holds otherwise than the snapshot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import pytest

from drtool.errors import UnreachableError
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import Loaded, RestoreItem, RestorePlan
from tests.operations.site import Site, connect, fill
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, uri: str, client: Client) -> Iterator[Site]:
    """A host with one snapshot."""
    name = unique_database(client)
    fill(client, name, megabytes=1)
    client[name].c0.create_index("n")
    client[name].create_collection("empty", validator={"a": {"$gte": 0}})
    client[name].command({"create": "view", "viewOn": "c0", "pipeline": []})
    site = Site(tmp_path_factory.mktemp("origin"), uri, {"nightly": (name,)}).set_up()
    site.backup()
    yield site
    client.drop_database(name)


def _database(site: Site) -> str:
    return site.jobs["nightly"][0]


def _after_restoring(change: Callable[[Any], object]) -> Any:
    """Let `change` be done to the sandbox's database before it is read back."""
    real = MongoTarget.finish

    def finish(self: MongoTarget, plan: RestorePlan, progress: Callable[[str], None]) -> None:
        real(self, plan, progress)
        with connect(self._uri) as client:
            change(client[plan.items[0].stream.name.partition(".")[0]])

    return mock.patch.object(MongoTarget, "finish", finish)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda db: db.c0.update_one({"_id": 7}, {"$set": {"n": 99}}), {"records-differ"}),
        (lambda db: db.c0.delete_one({"_id": 7}), {"records-differ"}),
        (lambda db: db.c0.insert_one({"_id": 10**9}), {"records-differ"}),
        (lambda db: db.c0.insert_one({"_id": -1}), {"records-differ"}),
        (lambda db: db.c0.delete_many({}), {"records-differ"}),
        (lambda db: db.empty.insert_one({"_id": 1, "a": 1}), {"records-differ"}),
        (lambda db: db.c0.drop_index("n_1"), {"definition-differs"}),
        (lambda db: db.c1.create_index("n"), {"definition-differs"}),
        (lambda db: db.command({"collMod": "empty", "validator": {}}), {"definition-differs"}),
        (lambda db: db.drop_collection("c1"), {"missing-stream"}),
        (lambda db: db.drop_collection("view"), {"missing-stream"}),
        (lambda db: db.client.drop_database(db.name), {"missing-stream"}),
    ],
)
def test_differences(origin: Site, change: Callable[[Any], object], kinds: set[str]) -> None:
    with _after_restoring(change):
        ended = origin.drtool("verify", "--level", "restored")
    assert ended.code == 4, ended.out + ended.err
    [line] = ended.lines[:-1]
    assert {problem["kind"] for problem in line["problems"]} == kinds
    assert all(problem["stream"].startswith(f"nightly/{_database(origin)}.") for problem in line["problems"])
    assert line["proof"] is None
    assert origin.ok("snapshots")[0]["verification_failed"]


def test_records_that_get_lost_on_the_way(origin: Site) -> None:
    real = MongoTarget.load

    def load(self: MongoTarget, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        return real(self, item, list(chunks)[1:])

    with mock.patch.object(MongoTarget, "load", load):
        ended = origin.drtool("verify", "--level", "restored")
    [line] = ended.lines[:-1]
    assert (ended.code, [problem["kind"] for problem in line["problems"]]) == (4, ["incomplete-restore"])
    # With several writers on one stream each loses its first chunk; how many they are is not this test's business.
    assert re.search(rf"{_database(origin)}\.c0: \d+ of \d+", line["problems"][0]["message"])


@pytest.mark.heavy
def test_a_sandbox_that_dies_says_nothing_about_the_snapshot(origin: Site) -> None:
    origin.ok("verify", "--level", "restored")
    with mock.patch.object(MongoTarget, "load", side_effect=UnreachableError("it has gone")):
        ended = origin.drtool("verify", "--level", "restored")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable")
    [line] = origin.ok("snapshots")[:-1]
    assert (line["level"], line["verification_failed"]) == ("restored", False)

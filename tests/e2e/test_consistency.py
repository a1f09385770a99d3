"""One instant, whatever the application does meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from pymongo.errors import OperationFailure

from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import KeyRange, StreamInfo
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.process import wait_until
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy

ACCOUNTS = 300
EACH = 1000


class _Transfers:
    """Moves money between accounts of two collections, in transactions, until told to stop."""

    def __init__(self, uri: str, database: str, seed: int) -> None:
        self.done = 0
        self._uri, self._database = uri, database
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Transfers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with connect(self._uri) as client, client.start_session() as session:
            database = client[self._database]
            while not self._stop.is_set():
                giver, taker = self._chance.randrange(ACCOUNTS), self._chance.randrange(ACCOUNTS)
                amount = self._chance.randint(1, 50)
                try:
                    with session.start_transaction():
                        database.a.update_one({"_id": giver}, {"$inc": {"money": -amount}}, session=session)
                        database.z.update_one({"_id": taker}, {"$inc": {"money": amount}}, session=session)
                    self.done += 1
                except OperationFailure as error:
                    if not error.has_error_label("TransientTransactionError"):
                        raise


def _sum(client: Client, database: str) -> int:
    stage: list[dict[str, Any]] = [{"$group": {"_id": None, "sum": {"$sum": "$money"}}}]
    return sum(int(next(client[database][name].aggregate(stage))["sum"]) for name in ("a", "z"))


def test_sums_hold_under_transactions(site: Site, uri: str, client: Client, database: str) -> None:
    padding = "x" * 4000
    for name in ("a", "z"):
        client[database][name].insert_many([{"_id": i, "money": EACH, "pad": padding} for i in range(ACCOUNTS)])
    with _Transfers(uri, database, 1) as first, _Transfers(uri, database, 2) as second:
        wait_until(lambda: first.done > 5 and second.done > 5, "transfers")
        taken = []
        for _ in range(4):
            before = first.done + second.done
            taken.append(site.backup())
            wait_until(lambda: first.done + second.done > before, "more transfers")  # noqa: B023 - called at once
    assert {line["consistency"] for line in taken} == {"exact"}
    assert any(line["chunks"]["new"] for line in taken[1:])
    for number, line in enumerate(taken):
        site.ok("restore", line["snapshot"], "--rename", f"{database}={database}_{number}")
        assert _sum(client, f"{database}_{number}") == 2 * ACCOUNTS * EACH
    assert site.ok("verify", "latest", "--level", "restored")[0]["ok"]


@contextmanager
def _while_reading(action: Callable[[int], None]) -> Iterator[None]:
    """Call `action` with a running number before the first chunk of each stream."""
    real = MongoView.chunks
    count = 0

    def chunks(self: MongoView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        nonlocal count
        count += 1
        action(count)
        yield from real(self, stream, part, rule)

    with mock.patch.object(MongoView, "chunks", chunks):
        yield


@pytest.fixture
def one_reader(site: Site, client: Client, database: str) -> Site:
    """A host that reads one collection after the other, with something in three of them."""
    fill(client, database, megabytes=1.5, collections=3)
    site.config.write_text(site.config.read_text().replace("limits: {}", "limits: {readers: 1}"))
    return site


def _restored(site: Site, client: Client, database: str) -> dict[str, str]:
    site.ok("restore", "latest", "--rename", f"{database}={database}_r")
    found = hashes(client, f"{database}_r")
    client.drop_database(f"{database}_r")
    return found


def _moves(client: Client, database: str) -> dict[str, Callable[[], Any]]:
    found = client[database]
    return {
        "drop": lambda: [found.command("drop", name) for name in ("c0", "c2")],
        "rename": lambda: [found[name].rename(f"new_{name}") for name in ("c0", "c2")],
        "replace": lambda: (found.command("drop", "c2"), found.c2.insert_one({"_id": "new"})),
        "drop database": lambda: client.drop_database(database),
        "rename over": lambda: found.c1.rename("c2", dropTarget=True),
        "create": lambda: found.c9.insert_one({"_id": 1}),
        "index": lambda: found.c2.create_index("n"),
        "write": lambda: [found[name].update_many({}, {"$set": {"n": -1}}) for name in ("c0", "c1", "c2")],
    }


@pytest.mark.parametrize(
    "move", ["drop", "rename", "replace", "drop database", "rename over", "create", "index", "write"]
)
def test_the_schema_changes_once(one_reader: Site, client: Client, database: str, move: str) -> None:
    """Either the state before the change is what comes back, or that after it; never a mixture, never less."""
    before = hashes(client, database)
    with _while_reading(lambda number: _moves(client, database)[move]() if number == 2 else None):
        ended = one_reader.drtool("backup")
    assert ended.code == 0, ended.err
    after = hashes(client, database)
    assert before != after or move == "index"
    restored = _restored(one_reader, client, database) if ended.lines[0]["streams"] else {}
    assert restored in (before, after)


def test_the_schema_never_stands_still(one_reader: Site, client: Client, database: str) -> None:
    def change(number: int) -> None:
        for name in ("c0", "c1", "c2"):
            client[database][name].drop()
            client[database][name].insert_one({"_id": number})

    with _while_reading(change):
        ended = one_reader.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "instant-moved")
    assert not one_reader.objects("snapshots")
    assert one_reader.drtool("backup").code == 0

"""Being gentle to the server: time and bandwidth limits, and nothing left behind on it; on a server of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, monitoring

from drtool.errors import SourceError
from drtool.sources.bandwidth import Bandwidth
from drtool.sources.mongodb import MongoSource
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.mongodb.sessions import Restraint
from drtool.sources.reading import WHOLE, View
from tests.servers.process import wait_until
from tests.sources.contract import back_up, read_all, rule_of
from tests.sources.mongo import Client, Document, source_of, unique_database

RECORDS = 3000
SIZE = 1000


@pytest.fixture(scope="module")
def server(mongod: Path) -> Iterator[Server]:
    """A replica set that takes failpoints."""
    options = ServerOptions(replica_set="restraint", parameters={"enableTestCommands": "1"})
    with running(mongod, options) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    found: Client
    with MongoClient(server.uri) as found:
        yield found


@pytest.fixture(scope="module")
def filled(client: Client) -> str:
    """A database with a collection of more than one batch, an ordinary one and a capped one."""
    name = unique_database(client)
    records = [{"_id": number, "x": "x" * SIZE} for number in range(RECORDS)]
    client[name]["c"].insert_many(records)
    client[name].create_collection("capped", capped=True, size=10 * SIZE * RECORDS)
    client[name]["capped"].insert_many(records)
    return name


@contextlib.contextmanager
def failpoint(client: Client, name: str, mode: Any = "alwaysOn", **data: Any) -> Iterator[None]:
    client.admin.command({"configureFailPoint": name, "mode": mode, "data": data})
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": name, "mode": "off"})


def open_cursors(client: Client) -> int:
    return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])


def await_cursors(client: Client, count: int) -> None:
    """The server has just so many open; it may have one of its own for a moment."""
    wait_until(lambda: open_cursors(client) == count, f"the server to have {count} cursors open")


@contextlib.contextmanager
def frozen(source: MongoSource) -> Iterator[View]:
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        yield view


def begun(view: View, name: str) -> Iterator[Any]:
    """The chunks of a stream, the first one already read."""
    stream = next(stream for stream in view.streams() if stream.name == name)
    chunks = view.chunks(stream, WHOLE, rule_of(stream))
    next(chunks)
    return chunks


class Commands(monitoring.CommandListener):
    """Notes the commands of every client that is made while it is registered."""

    def __init__(self) -> None:
        self.seen: list[Document] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.seen.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing."""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What drtool sends."""
    found = Commands()

    def observed(*arguments: Any, **options: Any) -> MongoClient[Document]:
        return MongoClient(*arguments, event_listeners=[found], **options)

    monkeypatch.setattr("drtool.sources.mongodb.connection.MongoClient", observed)
    return found


def test_every_query_of_reading_carries_max_time(
    server: Server, client: Client, filled: str, commands: Commands
) -> None:
    source = source_of(server.uri, filled, restraint=Restraint(max_time=60.5), part_bytes=100_000)
    with frozen(source) as view:
        for stream in view.streams():
            view.split(stream, 4)
        await_cursors(client, 0)
        read_all(view)
        view.settle()
    reads = [each for each in commands.seen if isinstance(each.get("find"), bytes)]
    samples = [each for each in commands.seen if "$sample" in str(each.get("pipeline"))]
    oplog = [each for each in commands.seen if each.get("find") == "oplog.rs"]
    assert (len(reads), len(samples), len(oplog)) == (2, 1, 1)
    assert {each.get("maxTimeMS") for each in (*reads, *samples, *oplog)} == {60_500}
    # The server refuses it on a getMore, which goes on with what the find has left.
    more = [each for each in commands.seen if "getMore" in each]
    assert more
    assert all("maxTimeMS" not in each for each in more)


@pytest.mark.parametrize("when", ["in the find", "in a getMore"])
def test_a_query_that_takes_too_long_is_a_clear_error(server: Server, client: Client, filled: str, when: str) -> None:
    source = source_of(server.uri, filled, restraint=Restraint(max_time=3600.0))
    with frozen(source) as view, contextlib.ExitStack() as stack:
        chunks: Iterator[Any] = iter(())
        if when == "in a getMore":
            chunks = begun(view, f"{filled}.c")
        stack.enter_context(failpoint(client, "maxTimeAlwaysTimeOut"))
        with pytest.raises(SourceError) as caught:
            list(chunks)
            begun(view, f"{filled}.c")
    assert f"reading {filled}.c" in caught.value.message
    assert "exceeded time limit" in caught.value.message
    assert "max_time" in caught.value.hint
    await_cursors(client, 0)


def test_what_is_read_is_paid_for(server: Server, filled: str) -> None:
    waits: list[float] = []
    slow = Bandwidth(1_000_000, clock=lambda: 0.0, sleep=lambda _, seconds: waits.append(seconds))
    source = source_of(server.uri, filled, restraint=Restraint(bandwidth=slow))
    read = sum(len(copy.data) for copy in back_up(source).values())
    assert read > 2 * RECORDS * SIZE
    paid = waits[-1] * slow.rate
    assert read <= paid <= 1.1 * read
    assert len(back_up(source)) == 2, "the bucket is the source's, for as long as it lives"
    assert waits[-1] * slow.rate == pytest.approx(2 * paid, rel=0.01)


def test_cancelling_ends_a_reader_that_waits_for_bandwidth(server: Server, client: Client, filled: str) -> None:
    waiting = threading.Event()

    def sleep(cancelled: threading.Event, _seconds: float) -> None:
        waiting.set()
        cancelled.wait()

    never = Bandwidth(1, clock=lambda: 0.0, sleep=sleep)
    source = source_of(server.uri, filled, restraint=Restraint(bandwidth=never))
    with frozen(source) as view, ThreadPoolExecutor(1) as pool:
        reader = pool.submit(begun, view, f"{filled}.c")
        try:
            wait_until(waiting.is_set, "the reader to wait")
            await_cursors(client, 1)
        finally:
            view.cancel()
        with pytest.raises(SourceError, match="cancelled"):
            reader.result()
        await_cursors(client, 0)


def test_an_error_leaves_no_cursor(server: Server, client: Client, filled: str) -> None:
    with frozen(source_of(server.uri, filled)) as view:
        chunks = begun(view, f"{filled}.c")
        await_cursors(client, 1)
        once = {"times": 1}
        with failpoint(client, "failCommand", once, failCommands=["getMore"], errorCode=8), pytest.raises(SourceError):
            list(chunks)
        await_cursors(client, 0)


def test_readings_that_nobody_goes_on_with_leave_no_cursor(server: Server, client: Client, filled: str) -> None:
    """They are still referred to, as by the traceback of an error elsewhere."""
    with frozen(source_of(server.uri, filled)) as view:
        kept = [begun(view, f"{filled}.c"), begun(view, f"{filled}.capped")]
        await_cursors(client, 2)
    await_cursors(client, 0)
    assert len(kept) == 2


def test_a_session_is_refreshed(
    server: Server, client: Client, filled: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drtool.sources.mongodb.sessions._REFRESH_SECONDS", 0.01)
    with frozen(source_of(server.uri, filled)) as view:
        chunks = begun(view, f"{filled}.c")

        def refreshed() -> set[bytes]:
            held = [each["refreshSessions"] for each in list(commands.seen) if "refreshSessions" in each]
            return {bytes(session["id"]) for sessions in held for session in sessions}

        [reading] = [each["lsid"]["id"] for each in commands.seen if isinstance(each.get("find"), bytes)]
        wait_until(lambda: bytes(reading) in refreshed(), "the session of the reading to be refreshed")
        assert len(list(chunks)) > 1

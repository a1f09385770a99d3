"""A replica set of one whose oplog, elections and restarts belong to one test, and ways to wait for its clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from tests.operations.site import connect
from tests.servers.process import free_port, running, wait_until
from tests.sources.mongo import Client


def newest(client: Client) -> Timestamp:
    """The ts of the last majority-committed entry."""
    found: Timestamp = client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"]
    return found


def note(client: Client) -> Timestamp:
    """Write an entry that changes nothing; the ts from which on it is majority-committed."""
    client.admin.command({"appendOplogNote": 1, "data": {"note": 1}, "writeConcern": {"w": "majority"}})
    return newest(client)


def next_second(client: Client) -> datetime:
    """A full second with everything written so far before it, and an entry of its own. What is written from now on is
    not before it."""
    before = newest(client).time
    wait_until(lambda: note(client).time > before, "the next second")
    return datetime.fromtimestamp(before + 1, UTC)


def step_down(client: Client) -> None:
    """An election: the only member becomes primary again, in the next term."""
    before = client.admin.command("replSetGetStatus")["term"]
    with contextlib.suppress(PyMongoError):  # it may close the connection
        client.admin.command({"replSetStepDown": 1, "force": True})
    wait_until(lambda: _is_primary(client) and _term(client) > before, "an election")


def _term(client: Client) -> int:
    return int(client.admin.command("replSetGetStatus")["term"])


def _is_primary(client: Client) -> bool:
    try:
        return bool(client.admin.command("hello")["isWritablePrimary"])
    except PyMongoError:
        return False


@dataclass
class OwnServer:
    """A mongod that can be stopped and started again on the same data. Use `own_server`."""

    directory: Path
    port: int = field(default_factory=free_port)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def uri(self) -> str:
        """Its address."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true&serverSelectionTimeoutMS=500"

    def start(self, *, replica_set: bool = True) -> Client:
        """Start it, as a member or as a standalone; a client of it."""
        command = [str(_program()), "--dbpath", str(self.directory), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        command += ["--port", str(self.port), "--wiredTigerCacheSizeGB", "0.25"]
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            "enableTestCommands": "1",  # emptycapped
            "shutdownTimeoutMillisForSignaledShutdown": "1",
        }
        for name, value in parameters.items():
            command += ["--setParameter", f"{name}={value}"]
        command += ["--replSet", "own", "--oplogSize", "100"] if replica_set else []
        client = connect(self.uri)
        self._stack.enter_context(running(command, lambda: _answers(client), self.directory / "log"))
        client.close()
        return self._stack.enter_context(connect(self.uri.replace("=500", "=20000")))

    def stop(self) -> None:
        """End it in good order."""
        self._stack.close()

    def initiate(self) -> Client:
        """Start it for the first time."""
        client = self.start()
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        client.admin.command("replSetInitiate", {"_id": "own", "members": [member]})
        wait_until(lambda: _is_primary(client), "a primary")
        return client

    def restart(self) -> Client:
        """Stop it and start it again."""
        self.stop()
        client = self.start()
        wait_until(lambda: _is_primary(client), "a primary")
        return client

    def forget_oplog(self, keep: int) -> Client:
        """Restart it with only the newest entries of its oplog, as if it had been too small."""
        self.stop()
        client = self.start(replica_set=False)
        local = client["local"]
        kept = list(local["oplog.rs"].find().sort("$natural", -1).limit(keep))
        local.command({"emptycapped": "oplog.rs"})
        local["oplog.rs"].insert_many(kept[::-1])
        return self.restart()


def _answers(client: Client) -> bool:
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def _program() -> Path:
    try:
        return find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@contextmanager
def own_server(directory: Path) -> Iterator[OwnServer]:
    """A server that was not started yet; it ends with the block."""
    directory.mkdir()
    server = OwnServer(directory)
    try:
        yield server
    finally:
        server.stop()

"""A server that disappears while drtool reads it or writes to it: an error that says so, nothing is claimed, and the
same command again completes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.mongodb import finishing, server
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.oplog.replaying.batches import Batches
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import KeyRange, StreamInfo
from drtool.sources.restoring import Loaded, RestoreItem
from tests.cli.running import Ended
from tests.operations.pitr.site import OwnServer, next_second, own_server
from tests.operations.pitr.test_pitr import capture
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.mongod import shared
from tests.servers.process import answers, wait_until
from tests.sources.mongo import unique_database

pytestmark = pytest.mark.heavy

_Kill = Callable[[], None]


@dataclass(frozen=True)
class _Origin:
    """A host with a snapshot of a database, an archive that leads on from it to `moment`, and the digests there."""

    site: Site
    database: str
    moment: str
    held: dict[str, str]

    def restore(self, uri: str) -> tuple[str, ...]:
        return ("restore", "latest", "--at", self.moment, "--to", uri)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Origin]:
    """On a set of its own, whose oplog holds little else."""
    uri = shared("pitr").uri
    with connect(uri) as client:
        name = unique_database(client)
        fill(client, name, megabytes=1.5)
        client[name].c0.create_index("n")
        site = Site(tmp_path_factory.mktemp("origin"), uri, {"nightly": (name,)}).set_up()
        site.backup()
        capture(site)
        client[name].c0.update_many({}, {"$set": {"later": True}})
        client[name].made.insert_one({"_id": 1})
        moment = next_second(client).isoformat()
        capture(site)
        yield _Origin(site, name, moment, hashes(client, name))
        client.drop_database(name)


@dataclass
class _Killer:
    """Ends a server once, whoever asks first; all others wait until it is gone."""

    port: int
    pid: int
    killed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        with self._lock:
            if not self.killed:
                self.killed = True
                os.kill(self.pid, signal.SIGKILL)
                wait_until(lambda: not answers(self.port), "the server to be gone")


def _before(owner: Any, name: str) -> Callable[[_Kill], AbstractContextManager[Any]]:
    """Kill it just before this is called for the first time."""
    real = getattr(owner, name)

    def patched(kill: _Kill) -> AbstractContextManager[Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            kill()
            return real(*args, **kwargs)

        return mock.patch.object(owner, name, call)

    return patched


def _between_chunks(kill: _Kill) -> AbstractContextManager[Any]:
    real = MongoTarget.load

    def load(self: MongoTarget, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        def held() -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk
                kill()

        return real(self, item, held())

    return mock.patch.object(MongoTarget, "load", load)


@contextmanager
def _killing(beside: OwnServer, hook: Callable[[_Kill], AbstractContextManager[Any]]) -> Iterator[_Killer]:
    """Inside, the server ends at the moment that `hook` stands for."""
    with connect(beside.uri) as client:
        killer = _Killer(beside.port, int(client.admin.command("serverStatus")["pid"]))
    with hook(killer):
        yield killer


#: What is killed when, and what the error says was being done.
_STAGES: tuple[tuple[Callable[[_Kill], AbstractContextManager[Any]], str], ...] = (
    (_between_chunks, "writing"),
    (_before(Batches, "do"), "replaying the oplog"),
    (_before(finishing, "_build"), "building indexes"),
)


def test_while_a_restore_writes(origin: _Origin, tmp_path: Path) -> None:
    """Time and again: each attempt begins anew on what the last one left."""
    with own_server(tmp_path / "mongod") as beside:
        command = origin.restore(beside.uri)
        beside.start(replica_set=False)
        for hook, doing in _STAGES:
            with _killing(beside, hook) as killer:
                ended = origin.site.drtool(*command)
            assert killer.killed
            _check_nothing_is_claimed(ended, doing)
            beside.stop()
            beside.start(replica_set=False)
            with connect(beside.uri) as client:
                assert "drtool_restore" in client[origin.database].list_collection_names()
        # Another moment of the same snapshot is another restore: it does not take this one's remains for its own.
        other = origin.site.drtool("restore", "latest", "--to", beside.uri)
        assert (other.code, other.result["error"]["kind"]) == (20, "target-not-empty")
        again = origin.site.ok(*command)[-1]
        assert again["records"] == again["expected_records"] + 1  # what was made after the snapshot
        with connect(beside.uri) as client:
            assert hashes(client, origin.database) == origin.held


def _check_nothing_is_claimed(ended: Ended, doing: str) -> None:
    result = ended.result
    assert (ended.code, result["error"]["kind"]) == (1, "unreachable"), ended.out + ended.err
    assert doing in result["error"]["message"]
    assert "was it stopped or restarted" in result["error"]["hint"]
    assert not {"records", "replayed", "recovered_to"} & result.keys()
    for words in ("not to be used", "the same command begins anew"):
        assert words in ended.err


@contextmanager
def _losing_the_sandbox(owner: Any, name: str) -> Iterator[None]:
    """Inside, the first sandbox ends by the time that this is called."""
    started: list[_Killer] = []
    real = getattr(owner, name)

    @contextmanager
    def noted(*args: Any) -> Iterator[server.Server]:
        with server.running(*args) as found:
            started.append(_Killer(found.port, found.pid))
            yield found

    def call(*args: Any, **kwargs: Any) -> Any:
        started[0]()
        return real(*args, **kwargs)

    # It is on this host, and does not come back.
    at_once = mock.patch("drtool.sources.mongodb.connection._SELECTION_MS", 300)
    with at_once, mock.patch("drtool.sources.mongodb.sandbox.running", noted), mock.patch.object(owner, name, call):
        yield


@pytest.mark.parametrize(("owner", "name"), [(MongoTarget, "load"), (MongoView, "chunks")], ids=["load", "compare"])
def test_while_a_snapshot_is_tried(origin: _Origin, owner: Any, name: str) -> None:
    """Neither for it nor against it."""
    before = origin.site.ok("snapshots")[0]
    with _losing_the_sandbox(owner, name):
        ended = origin.site.drtool("verify", "latest", "--level", "restored")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable"), ended.out + ended.err
    assert [line for line in ended.lines if line["type"] == "verification"] == []
    assert origin.site.ok("snapshots")[0] == before
    assert (before["level"], before["verification_failed"]) == ("none", False)


def test_while_a_backup_reads(tmp_path: Path) -> None:
    shared("pitr")  # skips where there is no mongod
    real = MongoView.chunks
    with server.running(find_mongod(), server.ServerOptions(replica_set="lost")) as source:
        with connect(source.uri) as client:
            fill(client, "app", megabytes=1.5)
        killer = _Killer(source.port, source.pid)
        site = Site(tmp_path, f"{source.uri}&serverSelectionTimeoutMS=500", {"nightly": ("app",)}).set_up()

        def chunks(self: MongoView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
            for chunk in real(self, stream, part, rule):
                yield chunk
                killer()

        with mock.patch.object(MongoView, "chunks", chunks):
            ended = site.drtool("backup")
    assert killer.killed
    assert (ended.code, ended.result["error"]["kind"]) == (1, "unreachable"), ended.out + ended.err
    assert "was it stopped or restarted" in ended.result["error"]["hint"]
    assert ended.result["snapshots"] == []
    assert not site.objects("snapshots")

"""Reading a server: at one instant or key by key, whole or not at all."""

from __future__ import annotations

import contextlib
import random
import socket
from contextlib import closing
from pathlib import Path

import pytest
import redis

from drtool.errors import DrtoolError, SourceError, UnreachableError
from drtool.sources.reading import Consistency, View
from drtool.sources.redis import RedisSource
from drtool.sources.redis.connection import Client, connect
from drtool.sources.redis.naming import MARKER
from drtool.sources.redis.reading import Selection
from drtool.sources.redis.records import entries
from drtool.sources.redis.replication import begin
from drtool.sources.redis.server import RunningServer, running
from tests.servers.process import wait_until
from tests.sources.contract import back_up, read_all
from tests.sources.redis import zoo
from tests.sources.redis.cutting_relay import relay


def keys_of(source: RedisSource) -> dict[str, list[bytes]]:
    """The keys of each stream of a backup."""
    copies = back_up(source)
    return {
        name: [entry.key for entry in entries(chunk.data for chunk in copy.chunks)] for name, copy in copies.items()
    }


def test_key_by_key_gives_what_a_dump_gives(redis_server: RunningServer, client: Client) -> None:
    zoo.fill(redis_server.uri)
    client.persist("expires")  # before Redis 7 the time that is left is told, not the time: a ms may be missing
    with (
        closing(RedisSource("redis", uri=redis_server.uri, method="scan", databases=[0])) as scanned,
        closing(RedisSource("redis", uri=redis_server.uri, method="rdb", databases=[0])) as dumped,
    ):
        client.persist("hash:expires")
        assert scanned.probe().consistency is Consistency.FUZZY
        copy, other = back_up(scanned)["db0"], back_up(dumped)["db0"]
    assert copy.data == other.data
    assert copy.stream == other.stream


@pytest.mark.parametrize("no_disk", [False, True])
def test_both_ways_to_send_a_dump(redis_server: RunningServer, no_disk: bool) -> None:
    zoo.fill(redis_server.uri)
    with closing(begin(redis_server.uri, no_disk=no_disk, left_out=Selection().left_out)) as download:
        arrival = download.wait()
        assert arrival.dump.ended
        assert arrival.order.tallies.keys() == {0, 3, 11}
    assert download.position.offset >= 0


@pytest.mark.parametrize("no_disk", [False, True])
def test_a_dump_that_is_cut_off_is_no_backup(redis_server: RunningServer, no_disk: bool) -> None:
    zoo.fill(redis_server.uri)
    with relay(redis_server.port, most=500_000) as port:
        uri = redis_server.uri.replace(f":{redis_server.port}/", f":{port}/")
        with (
            closing(begin(uri, no_disk=no_disk, left_out=Selection().left_out)) as download,
            pytest.raises(UnreachableError, match="ended the connection after") as caught,
        ):
            download.wait()
    assert caught.value.hint


def test_a_server_that_stops_while_it_is_scanned_is_no_backup(redis_server: RunningServer) -> None:
    zoo.fill(redis_server.uri)
    with relay(redis_server.port, most=200_000) as port:
        uri = redis_server.uri.replace(f":{redis_server.port}/", f":{port}/")
        with closing(RedisSource("redis", uri=uri, method="scan")) as source, pytest.raises(UnreachableError):
            back_up(source)


def test_cancelling_ends_the_wait(redis_server: RunningServer) -> None:
    zoo.fill(redis_server.uri)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source, closing(source.prepare(None)) as prepared:
        view: View
        with closing(prepared.freeze()) as view:
            view.cancel()
            try:
                read_all(view)
            except DrtoolError:
                return  # else all of it was there before
    assert view.point


@pytest.mark.parametrize("no_disk", [False, True])
def test_cancelling_in_the_middle_of_a_dump_ends_the_wait(redis_server: RunningServer, no_disk: bool) -> None:
    zoo.fill(redis_server.uri)
    with relay(redis_server.port, most=500_000, then_waits=True) as port:
        uri = redis_server.uri.replace(f":{redis_server.port}/", f":{port}/")
        with closing(begin(uri, no_disk=no_disk, left_out=Selection().left_out)) as download:
            download.cancel()
            with pytest.raises(UnreachableError):
                download.wait()


def test_what_is_left_out(redis_server: RunningServer, client: Client) -> None:
    client.mset({"session:1": "x", "session:\n2": "x", "user:1": "x", MARKER: "x"})
    other = connect(redis_server.uri, database=5)
    other.set("session:3", "x")
    other.set(b"\xff:session:", "x")
    other.close()
    for method in ("rdb", "scan"):
        source = RedisSource("redis", uri=redis_server.uri, method=method, exclude=["session:*", "ÿ"])
        with closing(source):
            assert keys_of(source) == {"db0": [b"user:1"], "db5": [b"\xff:session:"]}
        with closing(RedisSource("redis", uri=redis_server.uri, method=method, databases=[5, 7])) as source:
            assert keys_of(source) == {"db5": [b"session:3", b"\xff:session:"], "db7": []}
            assert any("db7" in warning for warning in source.probe().warnings)


def test_an_empty_server_is_an_empty_database(redis_server: RunningServer) -> None:
    for method in ("rdb", "scan"):
        with closing(RedisSource("redis", uri=redis_server.uri, method=method)) as source:
            assert keys_of(source) == {"db0": []}


def test_keys_whose_time_has_passed_are_not_backed_up(redis_server: RunningServer, client: Client) -> None:
    """They are in the dump while the server has not come across them."""
    with contextlib.suppress(redis.exceptions.ResponseError):  # a newer server wants a setting for that
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        client.set("stays", 1)
        client.set("goes", 1, px=1)
        seconds, _ = client.time()
        wait_until(lambda: client.time()[0] > seconds, "the next second")
        with closing(RedisSource("redis", uri=redis_server.uri)) as source:
            assert keys_of(source) == {"db0": [b"stays"]}
    finally:
        with contextlib.suppress(redis.exceptions.ResponseError):
            client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def cluster_port() -> int:
    """A free port such that the one for the cluster's own talk, ten thousand above, is free, too."""
    for port in random.sample(range(15_000, 22_000), 100):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port
    raise AssertionError


def test_a_cluster_is_refused_by_name(redis_program: Path) -> None:
    config = {"cluster-enabled": "yes", "databases": "1", "port": str(cluster_port())}
    with running(redis_program, config=config) as server:
        uri = server.uri.replace(f":{server.port}/", f":{config['port']}/")
        with closing(RedisSource("redis", uri=uri)) as source, pytest.raises(SourceError, match="cluster") as caught:
            source.probe()
    assert caught.value.hint


def test_a_replica_without_its_primary_is_refused(redis_program: Path) -> None:
    config = {"replicaof": "127.0.0.1 1"}
    with running(redis_program, config=config) as server, closing(RedisSource("redis", uri=server.uri)) as source:
        with pytest.raises(SourceError, match="lost its primary"):
            source.prepare(None)
        with closing(source.target(None)) as target, pytest.raises(SourceError, match="takes no writes"):
            target.inspect(zoo.plan_of())


def test_a_host_that_cannot_keep_it_is_named(redis_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/none")
    monkeypatch.setattr("drtool.sources.redis.spool._RUN_BYTES", 1000)
    zoo.fill(redis_server.uri)
    with (
        closing(begin(redis_server.uri, no_disk=True, left_out=Selection().left_out)) as download,
        pytest.raises(SourceError, match="cannot be kept on this host") as caught,
    ):
        download.wait()
    assert "TMPDIR" in caught.value.hint


def test_whatever_ends_the_walk_is_told(redis_server: RunningServer, client: Client) -> None:
    """A thread's error is nobody's otherwise, and what was read until then is no dump."""
    client.set("key", "value")
    wanted: dict[bytes, bool] = {}
    with (
        closing(begin(redis_server.uri, no_disk=True, left_out=lambda _: wanted.__getitem__)) as download,
        pytest.raises(KeyError),
    ):
        download.wait()

"""Reading a server: at one instant or key by key, whole or not at all."""

from __future__ import annotations

import contextlib
import random
import socket
from contextlib import closing
from mmap import ACCESS_READ, mmap
from pathlib import Path

import pytest
import redis

from drtool.errors import DrtoolError, SourceError, UnreachableError
from drtool.sources.reading import Consistency, View
from drtool.sources.redis import RedisSource
from drtool.sources.redis.connection import Client, connect
from drtool.sources.redis.naming import MARKER
from drtool.sources.redis.rdb.dump import NEVER, Dump
from drtool.sources.redis.rdb.strings import DamagedDumpError
from drtool.sources.redis.records import entries
from drtool.sources.redis.replication import begin
from drtool.sources.redis.server import RunningServer, running
from drtool.sources.redis.spool import Order
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
    with closing(begin(redis_server.uri, no_disk=no_disk)) as download:
        file = download.wait()
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(9)
        file.seek(size - 9)
        assert (head[:5], file.read(1)) == (b"REDIS", b"\xff")
    assert download.position.offset >= 0


@pytest.mark.parametrize("no_disk", [False, True])
def test_a_dump_that_is_cut_off_is_no_backup(redis_server: RunningServer, no_disk: bool) -> None:
    zoo.fill(redis_server.uri)
    with relay(redis_server.port, most=500_000) as port:
        uri = redis_server.uri.replace(f":{redis_server.port}/", f":{port}/")
        with (
            closing(begin(uri, no_disk=no_disk)) as download,
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


def test_keys_come_in_order_however_many_runs_they_were_sorted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.sources.redis.spool._RUN_KEYS", 7)
    monkeypatch.setattr("drtool.sources.redis.spool._BLOCK_KEYS", 3)
    found = zoo.some_found(100)
    with closing(Order()) as order:
        for number, one in enumerate(found):
            order.add(number % 2, [one])
        order.end()
        for database in (0, 1):
            mine = {one[0]: one for one in reversed(found[database::2])}
            assert list(order.read(database)) == [mine[key] for key in sorted(mine)]
            assert list(order.read(database)) == list(order.read(database))


@pytest.mark.parametrize(("keys", "size"), [(10_000, 8_000_000), (1, 8_000_000), (2, 8_000_000), (10_000, 20)])
def test_keys_are_handed_on_by_database_and_without_what_is_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: int, size: int
) -> None:
    """Between a key and its expiry a server that evicts says how often it was used, or when."""
    monkeypatch.setattr("drtool.sources.redis.rdb.dump._BATCH", keys)
    monkeypatch.setattr("drtool.sources.redis.rdb.dump._BATCH_BYTES", size)
    used = b"\xf9\x07"
    first = b"".join(used + b"\x00\x02a%d\x01v" % number for number in range(5))
    dead, alive = (b"\xfc" + when.to_bytes(8, "little") + b"\xf8\x03" for when in (10_000, 10_001))
    second = dead + b"\x00\x01d\x01v" + alive + b"\x00\x01l\x41\x00" + b"v" * 256 + b"\x00\x01n\xc0\x05"
    file = tmp_path / "dump"
    file.write_bytes(b"REDIS0009\xfa\x05ctime\x0210\xfe\x00" + first + b"\xfe\x02" + second + b"\xff" + bytes(8))
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as mapped:
        found = [(database, one) for database, some in Dump(mapped).keys(lambda _: b"a3".__eq__) for one in some]
        values = [mapped[offset : offset + length] for _, (_, _, _, offset, length) in found]
    assert [(database, key, expiry) for database, (key, expiry, *_) in found] == [
        *((0, b"a%d" % number, NEVER) for number in (0, 1, 2, 4)),
        (2, b"l", 10_001),
        (2, b"n", NEVER),
    ]
    assert values == [b"\x01v"] * 4 + [b"\x41\x00" + b"v" * 256, b"\xc0\x05"]


def test_what_is_no_dump_or_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    for data, said in (
        (b"HTTP/1.1 400", "no dump"),
        (b"REDIS0099\xff", "format 99"),
        (b"REDIS0009\xf0\x00\xff", "kind|type"),
        (b"REDIS0009\x1a\x01k\x01v\xff", "db0: k is of type 26"),
        (b"REDIS0009\x07\x01k\x81" + bytes(8) + b"\x00\xff", "db0: k is of the type AAAAAAAAA"),
        (b"REDIS0009\x00\x01k\x05v", "in the middle"),
        (b"REDIS0009\x04\x01k\x02\x01a\x01", "in the middle"),
    ):
        file = tmp_path / "dump"
        file.write_bytes(data)
        with (
            file.open("rb") as opened,
            mmap(opened.fileno(), 0, access=ACCESS_READ) as mapped,
            pytest.raises(DamagedDumpError, match=said),
        ):
            list(Dump(mapped).keys(lambda _: b"x".__eq__))


def test_a_modules_key_that_is_excluded_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "dump"
    module = b"\x07\x01m\x81" + bytes(8) + b"\x02\x05\x05\x02ab\x04" + bytes(8) + b"\x00"
    file.write_bytes(b"REDIS0009\xfe\x03" + module + b"\x00\x01k\x01v\xff" + bytes(8))
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as mapped:
        [(database, [found])] = Dump(mapped).keys(lambda _: b"m".__eq__)
        assert (database, found[0]) == (3, b"k")

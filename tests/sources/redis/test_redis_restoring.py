"""Restoring: what is in the way is left alone, what cannot be restored is said before anything is written."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import IncompleteRestoreError, MissingToolError, SourceError, TargetNotEmptyError
from drtool.sources.reading import WHOLE
from drtool.sources.redis import RedisSource
from drtool.sources.redis.connection import Client, connect
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import MARKER
from drtool.sources.redis.records import PART_BYTES
from drtool.sources.redis.server import RunningServer, running
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.sources.contract import Copy, back_up, load_all, plan_for, restore
from tests.sources.redis import zoo


def plan_as(copies: dict[str, Copy], *, marker: str = "marker-1", **names: str) -> RestorePlan:
    """A plan for streams under the names given, else their own."""
    items = (
        RestoreItem(copy.stream, names.get(name, name), sum(chunk.records for chunk in copy.chunks), len(copy.data))
        for name, copy in copies.items()
    )
    return RestorePlan(tuple(items), marker)


def test_in_place_everything_is_as_it_was(redis_server: RunningServer) -> None:
    zoo.fill(redis_server.uri)
    before = zoo.comparable(redis_server.uri)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
        zoo.change(redis_server.uri)
        plan = plan_as(copies)
        with closing(source.target(None)) as target:
            assert len(target.inspect(plan).occupied) == len(plan.items)
            with pytest.raises(TargetNotEmptyError):
                target.begin(plan)
            restore(target, replace(plan, replace=True), copies)
    assert zoo.comparable(redis_server.uri) == before


def test_in_place_keys_that_were_left_out_stay(redis_server: RunningServer, client: Client) -> None:
    client.mset({"session:1": "old", "user:1": "old"})
    with closing(RedisSource("redis", uri=redis_server.uri, exclude=["session:*"])) as source:
        copies = back_up(source)
        client.mset({"session:1": "new", "session:2": "new", "user:1": "new", "user:2": "new"})
        with closing(source.target(None)) as target:
            restore(target, replace(plan_as(copies), replace=True), copies)
    assert {key: client.get(key) for key in client.scan_iter()} == {
        b"session:1": b"new",
        b"session:2": b"new",
        b"user:1": b"old",
    }


def test_in_place_keys_stay_that_are_left_out_since(redis_server: RunningServer, client: Client) -> None:
    """A safety snapshot does not hold them, and neither does the snapshot."""
    client.mset({"user:1": "old"})
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
    client.mset({"user:1": "new", "user:2": "new"})
    plan = replace(plan_as(copies), replace=True)
    with closing(RedisSource("redis", uri=redis_server.uri, exclude=["session:*"])) as source:
        with closing(source.target(None)) as target:
            assert target.inspect(plan).lasting == ()
            target.begin(plan)
            client.mset({"session:1": "of the application", "user:1": "half"})
        with closing(source.target(None)) as target:
            restore(target, plan, copies)
    assert {key: client.get(key) for key in client.scan_iter()} == {
        b"session:1": b"of the application",
        b"user:1": b"old",
    }


def test_in_place_nothing_is_overwritten_that_cannot_be_saved(redis_server: RunningServer, client: Client) -> None:
    client.mset({"session:1": "old", "user:1": "old"})
    with closing(RedisSource("redis", uri=redis_server.uri, exclude=["cache:*"])) as source:
        copies = back_up(source)
    client.mset({"session:1": "new", "user:1": "new", "cache:1": "new"})
    plan = replace(plan_as(copies), replace=True)
    with closing(RedisSource("redis", uri=redis_server.uri, exclude=["cache:*", "session:*"])) as source:
        with closing(source.target(None)) as target:
            found = target.inspect(plan)
            assert [told.partition(" is there")[0] for told in found.lasting] == ["db0: session:1"]
            assert set(found.lasting) < set(found.occupied)
            with pytest.raises(TargetNotEmptyError, match="session:1") as caught:
                target.begin(plan)
            assert "exclude" in caught.value.hint
        assert client.mget("session:1", "user:1", "cache:1") == [b"new"] * 3
        client.delete("session:1")
        with closing(source.target(None)) as target:
            restore(target, plan, copies)
    assert client.mget("session:1", "user:1", "cache:1") == [b"old", b"old", b"new"]


def test_doctor_hears_of_the_package_that_a_restore_needs(
    redis_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        assert source.restore_lacks(None) == ()
        monkeypatch.setitem(sys.modules, "anycrc", None)
        with pytest.raises(MissingToolError, match="anycrc") as caught:
            source.restore_lacks(None)
    assert "drtool[redis]" in caught.value.hint


def test_a_database_beside_keeps_its_name(redis_server: RunningServer, client: Client) -> None:
    client.set("a", 1)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        with closing(source.target(None)) as target:
            last = int(client.config_get("databases")["databases"]) - 1
            assert any(f"database {last}" in note for note in target.inspect(plan).notes)
            restore(target, plan, copies)
        with closing(connect(redis_server.uri, database=last)) as beside:
            assert beside.get("a") == b"1"
            assert beside.hgetall(MARKER) == {b"name": b"db0_restored"}
        assert set(back_up(source)) == {"db0", f"db{last}"}
        assert source.rename("db0", "0", "5") == "db5"
        assert source.matches("db0", "0")


def test_a_server_without_a_free_database_says_so(redis_program: Path, redis_server: RunningServer) -> None:
    with closing(connect(redis_server.uri)) as client:
        client.set("a", 1)
    with running(redis_program, config={"databases": "1"}) as small:
        with closing(connect(small.uri)) as client:
            client.set("b", 1)
        with closing(RedisSource("redis", uri=redis_server.uri)) as source:
            copies = back_up(source)
            with closing(source.target(small.uri)) as target:
                with pytest.raises(SourceError, match="all 1 databases") as caught:
                    target.inspect(plan_for(source, copies))
                assert "--to" in caught.value.hint
                with pytest.raises(SourceError, match="no database 7"):
                    target.inspect(plan_as(copies, db0="db7"))


def test_what_an_older_server_cannot_load_is_said_before_anything_is_written(
    redis_server: RunningServer, client: Client
) -> None:
    client.set("a", 1)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
        newer = Definition(version=99, types=("hash",)).encode()
        item = plan_for(source, copies).items[0]
        plan = RestorePlan((replace(item, stream=replace(item.stream, definition=newer)),), "marker-1")
        with closing(source.target(None)) as target:
            for act in (target.inspect, target.begin):
                with pytest.raises(SourceError, match="cannot load them"):
                    act(plan)
    assert client.dbsize() == 1
    assert set(client.info("keyspace")) == {"db0"}


def test_a_value_whose_parts_are_not_all_there_is_no_restore(redis_server: RunningServer, client: Client) -> None:
    client.set("large", b"x" * PART_BYTES + bytes(range(256)) * 9000)
    client.config_set("rdbcompression", "no")
    try:
        with closing(RedisSource("redis", uri=redis_server.uri)) as source:
            copies = back_up(source)
    finally:
        client.config_set("rdbcompression", "yes")
    plan = plan_for(source, copies)
    with closing(source.target(None)) as target:
        target.begin(plan)
        [first, *_] = list(source.records(copies["db0"].data))
        target.load(plan.items[0], [bytes(first[1])])
        with pytest.raises(IncompleteRestoreError, match="large"):
            target.finish(plan, lambda sentence: None)


def test_a_server_that_is_full_names_the_key(redis_program: Path, redis_server: RunningServer) -> None:
    zoo.fill(redis_server.uri)
    with running(redis_program) as small:
        with closing(connect(small.uri)) as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_500_000)
        with closing(RedisSource("redis", uri=redis_server.uri)) as source:
            copies = back_up(source)
            plan = plan_as(copies)
            with closing(source.target(small.uri)) as target:
                assert any("maxmemory" in note for note in target.inspect(plan).notes)
                target.begin(plan)
                with pytest.raises(IncompleteRestoreError, match="does not take") as caught:
                    load_all(target, plan, copies)
        assert "maxmemory" in caught.value.hint


def test_nothing_expires_in_a_sandbox(redis_server: RunningServer, client: Client, tmp_path: Path) -> None:
    client.set("soon", 1, px=60_000)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
        plan = plan_as(copies)
        with source.sandbox("5.0", tmp_path) as box, closing(source.target(box.uri)) as target:
            restore(target, plan, copies)
            with closing(connect(box.uri)) as inside:
                assert inside.ttl("soon") > 1_000_000_000
            with closing(target.read_back(plan)) as view:
                [stream] = view.streams()
                [chunk] = view.chunks(stream, WHOLE, zoo.RULE)
            assert chunk.data == copies["db0"].data

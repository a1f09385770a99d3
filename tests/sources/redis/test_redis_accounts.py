"""Users with few privileges: what is missing is named, what is granted is enough, and asking changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from drtool.errors import AuthenticationError, ConfigError, UnreachableError
from drtool.sources.reading import Consistency
from drtool.sources.redis import RedisSource
from drtool.sources.redis import uri as uris
from drtool.sources.redis.connection import Client
from drtool.sources.redis.server import RunningServer
from tests.sources.contract import back_up, plan_for, restore
from tests.sources.redis import zoo

NAME, PASSWORD = "limited", "pass:word@1"


def as_user(server: RunningServer) -> str:
    """The server's address with the user of these tests."""
    return f"redis://{NAME}:pass%3Aword%401@127.0.0.1:{urlsplit(server.uri).port}"


def grant(client: Client, command: str) -> None:
    """Make the user with a command as ``roles`` gives it."""
    words = command.replace("drtool_backup", NAME).replace("drtool_restore", NAME).replace("PASSWORD", PASSWORD).split()
    client.execute_command(*words)


@pytest.fixture(autouse=True)
def _no_user(client: Client) -> Iterator[None]:
    yield
    client.execute_command("ACL", "DELUSER", NAME)


def test_the_backup_role_is_enough(redis_server: RunningServer, client: Client) -> None:
    zoo.fill(redis_server.uri)
    grant(client, RedisSource("redis", uri=redis_server.uri).roles()["backup"])
    with closing(RedisSource("redis", uri=as_user(redis_server))) as source:
        assert source.lacks() == ()
        assert source.probe().consistency is Consistency.EXACT
        copies = back_up(source)
    assert {name: copy.data for name, copy in copies.items()} == {
        name: b"".join(records) for name, records in zoo.listing(redis_server.uri).items()
    }


def test_the_restore_role_is_enough(redis_server: RunningServer, client: Client) -> None:
    client.set("a", 1)
    grant(client, RedisSource("redis", uri=redis_server.uri).roles()["restore"])
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copies = back_up(source)
        plan = plan_for(source, copies)
        assert source.restore_lacks(as_user(redis_server)) == ()
        with closing(source.target(as_user(redis_server))) as target:
            restore(target, plan, copies)
            assert target.inspect(plan).occupied


def test_without_psync_keys_are_read_one_by_one(redis_server: RunningServer, client: Client) -> None:
    zoo.fill(redis_server.uri)
    roles = RedisSource("redis", uri=redis_server.uri).roles()
    grant(client, roles["backup"].replace(" +psync", " -psync") + " +acl")  # from Redis 7 on, acl dryrun tells
    with closing(RedisSource("redis", uri=as_user(redis_server))) as source:
        probe = source.probe()
        assert probe.consistency is Consistency.FUZZY
        assert "PSYNC" in probe.warnings[0]
        assert source.lacks()[0].privilege == "psync"
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            view.streams()
            settled = view.settle()
        assert settled.consistency is Consistency.FUZZY
        assert settled.warnings


def test_method_rdb_without_psync_is_refused(redis_server: RunningServer, client: Client) -> None:
    roles = RedisSource("redis", uri=redis_server.uri).roles()
    grant(client, roles["backup"].replace(" +psync", " -psync") + " +acl")  # from Redis 7 on, acl dryrun tells
    with closing(RedisSource("redis", uri=as_user(redis_server), method="rdb")) as source:
        assert [lack.fatal for lack in source.lacks()] == [True]
        with closing(source.prepare(None)) as prepared, pytest.raises(AuthenticationError, match="psync") as caught:
            prepared.freeze()
    assert "+psync" in caught.value.hint


def test_what_the_server_does_not_say_is_noticed_when_it_is_read(redis_server: RunningServer, client: Client) -> None:
    client.set("a", 1)
    grant(client, f"ACL SETUSER {NAME} on >PASSWORD ~* +@all -psync -multi -acl")
    with closing(RedisSource("redis", uri=as_user(redis_server))) as source:
        assert source.probe().consistency is Consistency.EXACT
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            assert view.settle().consistency is Consistency.FUZZY


def test_asking_what_a_user_may_do_changes_nothing(redis_server: RunningServer, client: Client) -> None:
    zoo.fill(redis_server.uri)
    before = zoo.listing(redis_server.uri)
    grant(client, f"ACL SETUSER {NAME} on >PASSWORD ~* +@all -restore -dump")
    for uri in (redis_server.uri, as_user(redis_server)):
        for method in ("auto", "scan"):
            with closing(RedisSource("redis", uri=uri, method=method)) as source:
                source.probe()
                source.lacks()
                lacking = source.restore_lacks(None)
    assert [lack.privilege for lack in lacking] == ["restore"]
    assert zoo.listing(redis_server.uri) == before


@pytest.mark.parametrize("uri", ["redis://{}:wrong-secret@127.0.0.1:{}", "redis://127.0.0.1:{1}"])
def test_wrong_credentials_are_named_without_their_secret(redis_server: RunningServer, uri: str) -> None:
    address = uri.format("nobody", redis_server.port)
    with closing(RedisSource("redis", uri=address)) as source, pytest.raises(AuthenticationError) as caught:
        source.probe()
    assert "wrong-secret" not in caught.value.message
    assert caught.value.hint


def test_a_user_without_info_is_told(redis_server: RunningServer, client: Client) -> None:
    grant(client, f"ACL SETUSER {NAME} on >PASSWORD ~* +@all -info")
    with (
        closing(RedisSource("redis", uri=as_user(redis_server))) as source,
        pytest.raises(AuthenticationError) as caught,
    ):
        source.probe()
    assert "info" in caught.value.message
    assert PASSWORD not in caught.value.message


@pytest.mark.parametrize("uri", ["http://x", "redis://h:port", "redis://h/?socket_timeout=soon"])
def test_an_address_that_is_none(uri: str) -> None:
    with closing(RedisSource("redis", uri=uri)) as source, pytest.raises(ConfigError) as caught:
        source.probe()
    assert caught.value.hint


def test_nobody_listens_at_a_socket() -> None:
    source = RedisSource("redis", uri="unix:///no/such/socket")
    with closing(source), pytest.raises(UnreachableError):
        source.probe()


@pytest.mark.parametrize("uri", ["redis://me:se?same@db/0", "redis://me:se#same@db/0", "redis://me:se/same@db/0"])
def test_a_password_that_should_have_been_encoded_is_not_shown(uri: str) -> None:
    assert uris.shown(uri) in ("redis://…", "redis://db/0")
    assert "same" not in uris.redacted(f"no host same in {uri}", uri)

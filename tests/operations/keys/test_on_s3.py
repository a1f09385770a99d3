"""Keys in a bucket: conditional puts tell who was slower, and several people read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.errors import LockedError, WrongKeyError
from drtool.operations.keys.agents import add_agent
from drtool.operations.keys.escrowing import find_escrow, put_escrow, recover, remove_escrow
from drtool.operations.keys.recipients import add_recipient
from drtool.operations.keys.revoking import revoke
from drtool.operations.keys.rotating import rotate
from drtool.operations.reporting import Silent
from drtool.repository.escrow import Cost, seal_escrow
from drtool.repository.locks import LockRule
from drtool.repository.primitives import SigningKey
from drtool.repository.public_file import PublicHalf
from drtool.repository.trust import Role, sign_lines
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.operations.keys.places import add, read_as, rooted, second, stream
from tests.repository.builders import Made, backup, make
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket, moto_server
from tests.servers.vaults import open_vault

pytestmark = pytest.mark.heavy

WORDS = "correct horse battery staple one two"
CHEAP = Cost(65_536, 1, 1)
ROOT = SigningKey(bytes(32))


@pytest.fixture
def bucket(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """A repository with a snapshot, in a bucket that keeps versions."""
    directory = tmp_path_factory.mktemp("bucket")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with moto_server(directory) as port:
        make_bucket(port, "backups", versions=True)
        settings = S3Settings(REGION, f"http://127.0.0.1:{port}", None, None, None, 8)
        with contextlib.closing(S3Storage("backups", "prod", settings)) as storage:
            made = make(directory, storage)
            with contextlib.closing(made.as_agent()) as agent:
                backup(agent, [stream(1)])
            yield made


def test_whoever_is_slower_is_told_and_then_everything_is_done(bucket: Made) -> None:
    made = bucket
    ada = second(made)
    key = made.local / "host2.key"
    with rooted(made, "one") as (one, first), rooted(made, "other") as (other, slower):
        rotate(one, first, Silent())
        with pytest.raises(LockedError):
            rotate(other, slower, Silent())
    with rooted(made, "one") as (one, first), rooted(made, "other") as (other, slower):
        add_recipient(one, first, PublicHalf.of(ada), Silent(), name="Ada")
        with pytest.raises(LockedError):
            add_agent(slower, "host2", Role.WRITER, key)
        assert not key.exists()
        with pytest.raises(LockedError):
            revoke(other, slower, "host1", Silent())
    with rooted(made, "one") as (one, first), rooted(made, "other") as (other, slower):
        add_agent(first, "host2", Role.WRITER, key)
        put_escrow(one, first, WORDS, CHEAP)
        with pytest.raises(LockedError):
            put_escrow(other, slower, "another passphrase of mine", CHEAP)
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(2)])
    expected = read_as(made, made.identity, "owner")
    assert [set(each.values()) for each in expected] == [{stream(1).chunks}, {stream(2).chunks}]
    assert read_as(made, ada, "ada") == expected
    with rooted(made, "one") as (one, first):
        escrow = find_escrow(made.storage)
        assert recover(made.storage, escrow, WORDS).identity == made.identity
        made.storage.put(escrow[0].name, b"somebody replaced it")
        made.storage.delete(escrow[0].name)  # which hides it
        assert recover(made.storage, find_escrow(made.storage), WORDS).identity == made.identity
    with rooted(made, "one") as (one, first):
        put_escrow(one, first, WORDS, CHEAP)  # over what hides it
        assert remove_escrow(one, first) == (escrow[0].name, True)
        revoke(one, first, "Ada", Silent())
    left = {info.name for info in made.storage.list_versions()}
    assert escrow[0].name not in left
    assert not any(ada.recipient.fingerprint.hex() in name for name in left)


def test_whatever_is_put_over_an_escrow_the_right_one_is_found(bucket: Made) -> None:
    made = bucket
    with rooted(made) as (repository, authority):
        put_escrow(repository, authority, WORDS, CHEAP)
    [right] = find_escrow(made.storage)
    for number in range(7):
        made.storage.put(right.name, b"nothing of the kind, number %d" % number)
    made.storage.put(right.name, seal_escrow(second(made), "of the thief's own making", bytes(16), ROOT, CHEAP))
    dear = json.loads(made.storage.get(right.name).split(b"\n")[0])
    dear["kdf"] |= {"memory_kib": 4_194_304, "iterations": 16, "lanes": 1}  # hours, and more memory than many have
    made.storage.put(right.name, sign_lines("escrow", dear, ROOT))
    made.storage.delete(right.name)
    assert recover(made.storage, find_escrow(made.storage), WORDS).identity == made.identity
    versions = [info for info in find_escrow(made.storage) if info.size != len(sign_lines("escrow", dear, ROOT))]
    with pytest.raises(WrongKeyError, match="passphrase"):
        recover(made.storage, versions, WORDS + "!")


def test_what_is_locked_is_hidden_from_who_was_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_vault("moto", tmp_path, monkeypatch) as vault:
        made = make(tmp_path, vault.storage(), LockRule("COMPLIANCE", 1))
        with contextlib.closing(made.as_agent()) as agent:
            backup(agent, [stream(1)])
        ada, reporter = second(made), Silent()
        assert add(made, ada).opened
        with rooted(made) as (repository, authority):
            revoke(repository, authority, "Ada", reporter)
        assert not any(ada.recipient.fingerprint.hex() in info.name for info in made.storage.list())
        assert ["more objects" in warning and "locked" in warning for warning in reporter.warnings] == [True]

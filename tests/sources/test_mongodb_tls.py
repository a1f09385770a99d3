"""A replica set that takes TLS with client certificates only: every way to log in, and what errors say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from pymongo import MongoClient

from drtool.errors import AuthenticationError, ConfigError, DrtoolError, UnreachableError
from drtool.sources.mongodb import MongoSource
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.reading import Consistency
from tests.servers.certificates import Issued, authority, issue
from tests.servers.guarded import key_file
from tests.sources.contract import back_up
from tests.sources.mongo import Document, source_of

PASSWORD = "p@ss/w:rd%"
KEY_PASSWORD = "open sesame"
MECHANISMS = ("SCRAM-SHA-1", "SCRAM-SHA-256")


@dataclass(frozen=True)
class Secured:
    """The server and the certificates around it."""

    server: Server
    authority: Issued
    client: Issued
    locked: Issued
    stranger: Issued

    def uri(self, *options: str, user: str = "", password: str = PASSWORD, trust: Path | None = None) -> str:
        """The set's address, through which drtool finds the member, with TLS and `options`."""
        login = f"{user}:{quote_plus(password)}@" if user else ""
        given = ["replicaSet=tls", "tls=true", f"tlsCAFile={trust or self.authority.pem}", *options]
        return f"mongodb://{login}127.0.0.1:{self.server.port}/?{'&'.join(given)}"

    def known(self, *options: str, user: str = "", password: str = PASSWORD) -> str:
        """The same, showing the client certificate."""
        return self.uri(f"tlsCertificateKeyFile={self.client.pem}", *options, user=user, password=password)


@pytest.fixture(scope="module")
def secured(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Users with the role ``backup``: one for each mechanism, by its name, and the client certificate's."""
    directory = tmp_path_factory.mktemp("certificates")
    ours, theirs = authority(directory, "authority"), authority(directory, "stranger")
    serving, client = issue(directory, "serving", ours), issue(directory, "client", ours, unit="operators")
    locked = issue(directory, "locked", ours, unit="operators", password=KEY_PASSWORD)
    with key_file() as guarded:
        # TLS is made to be required only once it is a replica set: who starts it has no certificate
        tls = ("--tlsMode", "preferTLS", "--tlsCertificateKeyFile", str(serving.pem), "--tlsCAFile", str(ours.pem))
        allowed = ("--tlsAllowConnectionsWithoutCertificates",)
        options = ServerOptions(
            replica_set="tls",
            parameters={"authenticationMechanisms": "SCRAM-SHA-1,SCRAM-SHA-256,MONGODB-X509"},
            arguments=(*guarded, *tls, *allowed),
        )
        with running(mongod, options) as server:
            found = Secured(server, ours, client, locked, theirs)
            fill(found)
            yield found


def fill(secured: Secured) -> None:
    with MongoClient[Document](secured.server.uri) as client:
        client.admin.command({"createUser": "root", "pwd": PASSWORD, "roles": ["root"]})
    with MongoClient[Document](secured.known(user="root")) as client:
        for mechanism in MECHANISMS:
            client.admin.command(
                {"createUser": mechanism, "pwd": PASSWORD, "roles": ["backup"], "mechanisms": [mechanism]}
            )
        role = [{"role": "backup", "db": "admin"}]
        for issued in (secured.client, secured.locked):
            client["$external"].command({"createUser": issued.subject, "roles": role})
        client["app"]["c"].insert_one({"_id": 1})
        client.admin.command({"setParameter": 1, "tlsMode": "requireTLS"})


def reads(uri: str) -> None:
    """The database is read at one instant, through the pinned member."""
    source = source_of(uri, "app")
    assert source.probe().consistency is Consistency.EXACT
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert [stream.name for stream in view.streams()] == ["app.c"]
        assert view.settle().consistency is Consistency.EXACT
    assert len(back_up(source)["app.c"].data) == 14


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("named", [True, False])
def test_scram(secured: Secured, mechanism: str, named: bool) -> None:
    reads(secured.known(*([f"authMechanism={mechanism}"] if named else []), user=mechanism))


def test_certificate_as_login(secured: Secured) -> None:
    x509 = ("authMechanism=MONGODB-X509", "authSource=%24external")
    reads(secured.known(*x509))
    locked = f"tlsCertificateKeyFile={secured.locked.pem}"
    reads(secured.uri(*x509, locked, f"tlsCertificateKeyFilePassword={quote_plus(KEY_PASSWORD)}"))


def error_of(uri: str) -> DrtoolError:
    with pytest.raises(DrtoolError) as caught:
        MongoSource("app", uri=uri).probe()
    says_nothing_secret(caught.value)
    return caught.value


def says_nothing_secret(error: DrtoolError) -> None:
    seen: BaseException | None = error
    text = error.hint
    while seen is not None:
        text += str(seen) + repr(seen)
        seen = seen.__cause__
    for secret in (PASSWORD, quote_plus(PASSWORD), KEY_PASSWORD, quote_plus(KEY_PASSWORD)):
        assert secret not in text


def errors_of(uris: Sequence[str]) -> list[DrtoolError]:
    """All at the same time: the driver goes on trying until the time for selecting a server is over."""
    with ThreadPoolExecutor(len(uris)) as pool:
        return list(pool.map(error_of, [f"{uri}&serverSelectionTimeoutMS=4000" for uri in uris]))


@pytest.mark.heavy
def test_what_is_said_when_tls_fails(mongod: Path, secured: Secured, tmp_path: Path) -> None:
    serving = issue(tmp_path, "serving", secured.authority)
    tls = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(serving.pem))
    user = MECHANISMS[0]
    plain = f"mongodb://{user}:{quote_plus(PASSWORD)}@127.0.0.1:{secured.server.port}/?replicaSet=tls"
    with running(mongod, ServerOptions(arguments=(*tls, "--tlsCAFile", str(secured.authority.pem)))) as strict:
        address = f"mongodb://127.0.0.1:{strict.port}/?tls=true&tlsCAFile={secured.authority.pem}"
        shown = f"{address}&tlsCertificateKeyFile={secured.client.pem}"
        assert MongoSource("app", uri=shown).probe().topology == "standalone"
        wrong = [secured.uri(user=user, trust=secured.stranger.pem), plain, address]
        untrusted, refused, anonymous = errors_of(wrong)
    assert "certificate verify failed" in untrusted.message
    assert "tlsCAFile" in untrusted.hint
    assert "tls=true" in refused.hint
    assert "tlsCertificateKeyFile" in anonymous.hint
    assert {type(error) for error in (untrusted, refused, anonymous)} == {UnreachableError}


def test_a_certificate_that_is_no_user(secured: Secured, tmp_path: Path) -> None:
    nobody = issue(tmp_path, "nobody", secured.authority, unit="operators")
    mine = f"tlsCertificateKeyFile={nobody.pem}"
    error = error_of(secured.uri(mine, "authMechanism=MONGODB-X509", "authSource=%24external"))
    assert isinstance(error, AuthenticationError)
    assert "CN=nobody" in error.message
    assert "certificate" in error.hint


def test_no_certificate_where_it_is_the_login(secured: Secured) -> None:
    error = error_of(secured.uri("authMechanism=MONGODB-X509", "authSource=%24external"))
    assert isinstance(error, AuthenticationError)


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_a_file_that_is_not_there(secured: Secured, tmp_path: Path, option: str) -> None:
    address = f"mongodb://root:{quote_plus(PASSWORD)}@127.0.0.1:{secured.server.port}/?tls=true"
    error = error_of(f"{address}&{option}={tmp_path / 'missing.pem'}")
    assert isinstance(error, ConfigError)
    assert "missing.pem" in error.message
    assert "PEM" in error.hint


def test_a_wrong_password_for_the_key(secured: Secured) -> None:
    wrong = "tlsCertificateKeyFilePassword=not%20sesame"
    error = error_of(secured.uri(f"tlsCertificateKeyFile={secured.locked.pem}", wrong))
    assert isinstance(error, ConfigError)
    assert "sesame" not in error.message


def test_a_wrong_password(secured: Secured) -> None:
    error = error_of(secured.known(user=MECHANISMS[1], password="wr0ng"))
    assert isinstance(error, AuthenticationError)
    assert "wr0ng" not in error.message

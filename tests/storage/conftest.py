"""Servers shared by the storage tests of one test process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drtool.storage.directory import DirectoryStorage
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.servers import s3
from tests.servers.faults import Proxy, proxy
from tests.servers.tls import Certificate, make_certificate
from tests.servers.vaults import shared_port

SERVERS = {"moto": s3.moto_server, "ministack": s3.ministack_server, "rclone": s3.rclone_server}
#: Shared by all tests of a process, not only those of stores.
SHARED = {"rgw"}

Store = DirectoryStorage | S3Storage
OpenStore = Callable[[str], Store]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


class Servers:
    """Starts each server at its first use; `port` is its http port, `endpoint` its URL for a scheme."""

    def __init__(self, stack: ExitStack, directory: Path, certificate: Certificate) -> None:
        self._stack = stack
        self._directory = directory
        self._certificate = certificate
        self._ports: dict[str, int] = {}
        self._fronts: dict[str, Proxy] = {}

    def port(self, kind: str) -> int:
        if kind in SHARED:
            return shared_port(kind)
        if kind not in self._ports:
            directory = self._directory / kind
            directory.mkdir()
            self._ports[kind] = self._stack.enter_context(SERVERS[kind](directory))
        return self._ports[kind]

    def endpoint(self, kind: str, scheme: str) -> str:
        port = self.port(kind)
        if scheme == "http":
            return f"http://127.0.0.1:{port}"
        if kind not in self._fronts:
            self._fronts[kind] = self._stack.enter_context(proxy(port, self._certificate))
        return self._fronts[kind].url


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, tmp_path_factory.mktemp("servers"), certificate)


@pytest.fixture
def s3_storage(servers: Servers, certificate: Certificate) -> Iterator[Callable[..., S3Storage]]:
    """Makes a bucket on a server (``moto``, …) and a storage in it."""
    with ExitStack() as stack:

        def make(kind: str, scheme: str = "http", *, versions: bool = False, locks: bool = False) -> S3Storage:
            bucket = f"bucket-{secrets.token_hex(6)}"
            s3.make_bucket(servers.port(kind), bucket, versions=versions, locks=locks)
            settings = S3Settings(endpoint_url=servers.endpoint(kind, scheme), ca_bundle=str(certificate.certificate))
            storage = S3Storage(bucket, "some/Prefix", settings)
            stack.callback(storage.close)
            return storage

        yield make


@pytest.fixture
def open_store(s3_storage: Callable[..., S3Storage], tmp_path: Path) -> OpenStore:
    """A new storage by its description: ``directory`` or ``moto-https``, ``moto-http-versions``, ``rgw-http-locks``…"""

    def make(description: str) -> Store:
        if description == "directory":
            return DirectoryStorage(tmp_path / "repository")
        kind, scheme, *rest = description.split("-")
        return s3_storage(kind, scheme, versions=rest == ["versions"], locks=rest == ["locks"])

    return make

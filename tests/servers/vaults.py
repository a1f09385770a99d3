"""Buckets with Object Lock, on servers that all tests of a process share, and users who may not do everything there."""

from __future__ import annotations

import functools
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from drtool.storage.attempts import RetryPolicy
from drtool.storage.retry import Retrying
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.servers import s3
from tests.servers.mongod import keep_running
from tests.servers.rgw import Gateway, missing_programs, rgw_gateway

PREFIX = "prod"


@functools.cache
def shared_rgw() -> Gateway:
    """One for all tests of this process. Skips the test where Ceph is not installed."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return keep_running(rgw_gateway())


@functools.cache
def shared_port(kind: str) -> int:
    """The port of ``moto``, ``ministack`` or ``rgw``: one for all tests of this process."""
    if kind == "rgw":
        return shared_rgw().port
    servers = {"moto": s3.moto_server, "ministack": s3.ministack_server}
    return keep_running(_in_own_directory(servers[kind]))


@contextmanager
def _in_own_directory(server: Any) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="drtool-s3-") as directory, server(Path(directory)) as port:
        yield port


@dataclass
class Vault:
    """A bucket with Object Lock on a server of `kind`; ``credentials`` is a file of profiles."""

    kind: str
    bucket: str
    credentials: Path
    opened: list[S3Storage] = field(default_factory=list)
    #: What policies call the users of profiles.
    principals: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{shared_port(self.kind)}"

    @property
    def url(self) -> str:
        """The repository's."""
        return f"s3://{self.bucket}/{PREFIX}"

    def storage(self, profile: str = "owner") -> Retrying:
        """As one of the profiles sees it."""
        bare = S3Storage(self.bucket, PREFIX, S3Settings(s3.REGION, self.endpoint, profile))
        self.opened.append(bare)
        return Retrying(bare, RetryPolicy(shortest=0.02))

    def client(self, profile: str = "owner") -> Any:
        """boto3's own."""
        return boto3.Session(profile_name=profile, region_name=s3.REGION).client("s3", endpoint_url=self.endpoint)

    def enrol(self, *profiles: str) -> Mapping[str, str]:
        """Users of these profiles, without any right: their names for policies. Only RGW knows users."""
        for profile in profiles:
            name = f"{profile}-{secrets.token_hex(4)}"
            add_profile(self.credentials, profile, *shared_rgw().make_user(name))
            self.principals[profile] = f"arn:aws:iam:::user/{name}"
        return self.principals

    def allow(self, *policies: Mapping[str, Any]) -> None:
        """Let these policies, which name principals, be the bucket's."""
        statements = [statement for policy in policies for statement in policy["Statement"]]
        unique = [statement | {"Sid": f"s{number}"} for number, statement in enumerate(statements)]
        document = {"Version": "2012-10-17", "Statement": unique}
        self.client().put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(document))


def add_profile(credentials: Path, name: str, access_key: str, secret_key: str) -> None:
    """Add a profile to a file as the AWS tools have it."""
    with credentials.open("a") as file:
        file.write(f"[{name}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")


@contextmanager
def open_vault(kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A new one on a server of `kind`, with the profile ``owner``. The environment names its profiles."""
    bucket = f"vault-{secrets.token_hex(6)}"
    s3.make_bucket(shared_port(kind), bucket, locks=True)
    vault = Vault(kind, bucket, directory / "credentials")
    add_profile(vault.credentials, "owner", s3.ACCESS_KEY, s3.SECRET_KEY)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(vault.credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    try:
        yield vault
    finally:
        for storage in vault.opened:
            storage.close()

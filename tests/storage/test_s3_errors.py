"""What real servers' refusals become."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from drtool.errors import (
    BucketMissingError,
    ConfigError,
    PermissionDeniedError,
    StorageError,
    TransientStorageError,
)
from drtool.storage import open_storage
from drtool.storage.attempts import RetryPolicy
from drtool.storage.directory import DirectoryStorage
from drtool.storage.retry import Retrying
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.servers import s3
from tests.servers.faults import Fault, proxy
from tests.servers.process import free_port
from tests.servers.tls import Certificate
from tests.storage.conftest import Servers


@pytest.mark.parametrize("kind", ["moto", "ministack", "rclone"])
def test_missing_bucket(servers: Servers, kind: str) -> None:
    storage = S3Storage("no-such-bucket", "", S3Settings(endpoint_url=servers.endpoint(kind, "http")))
    for call in (
        lambda: storage.put("object", b""),
        lambda: storage.get("object"),
        lambda: storage.head("object"),
        lambda: list(storage.list()),
    ):
        with pytest.raises(BucketMissingError) as caught:
            call()
        assert caught.value.hint


def test_rights_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3.moto_server(tmp_path) as port:
        s3.make_bucket(port, "bucket")
        settings = S3Settings(endpoint_url=f"http://127.0.0.1:{port}")
        key, secret = _user_without_rights(port)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()
        with pytest.raises(PermissionDeniedError, match="InvalidAccessKeyId") as caught:
            S3Storage("bucket", "", settings).put("object", b"")
        assert "chain" in caught.value.hint
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        with pytest.raises(PermissionDeniedError, match="SignatureDoesNotMatch"):
            S3Storage("bucket", "", settings).put("object", b"")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        storage = S3Storage("bucket", "", settings)
        with pytest.raises(PermissionDeniedError, match="s3:PutObject") as caught:
            Retrying(storage).put("object", b"")
        assert "s3:PutObject" in caught.value.hint
        assert secret not in str(caught.value)
        with pytest.raises(PermissionDeniedError, match="s3:ListBucket"):
            list(storage.list())


def _user_without_rights(port: int) -> tuple[str, str]:
    import boto3

    iam = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{port}", region_name=s3.REGION)
    iam.create_user(UserName="nobody")
    made = iam.create_access_key(UserName="nobody")["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def test_no_credentials(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    storage = S3Storage("bucket", "", S3Settings(endpoint_url=servers.endpoint("moto", "http")))
    with pytest.raises(PermissionDeniedError) as caught:
        storage.put("object", b"")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_missing_profile() -> None:
    with pytest.raises(PermissionDeniedError, match="nobody"):
        open_storage("s3://bucket/prefix", profile="nobody")


def test_nobody_listens() -> None:
    storage = S3Storage("bucket", "", S3Settings(endpoint_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(TransientStorageError, match="tried 5 times") as caught:
        Retrying(storage, RetryPolicy(shortest=0.001)).get("object")
    assert not caught.value.ambiguous


def test_unknown_authority_is_not_tried_again(servers: Servers, certificate: Certificate) -> None:
    with proxy(servers.port("moto"), certificate) as front:
        storage = S3Storage("bucket", "", S3Settings(endpoint_url=front.url))
        with pytest.raises(StorageError) as caught:
            Retrying(storage).put("object", b"")
        assert not isinstance(caught.value, TransientStorageError)
        assert "ca_bundle" in caught.value.hint
        assert front.seen == []


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "s3://", "s3:///x", "s3://b//x", "s3://b/../x", "s3://k:s@b/x", "file://host/x"]
)
def test_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_storage(url)
    assert caught.value.hint


def test_urls(tmp_path: Path) -> None:
    assert open_storage(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert open_storage(str(tmp_path / "x")).url == DirectoryStorage(tmp_path / "x").url
    assert open_storage("s3://bucket/Some/prefix/").url == "s3://bucket/Some/prefix"
    assert open_storage("s3://bucket").url == "s3://bucket"


def test_a_store_that_knows_nothing_of_versions(servers: Servers) -> None:
    """Such as Cloudflare's R2."""
    port = servers.port("moto")
    s3.make_bucket(port, "plain")
    with proxy(port) as front:
        front.inject(Fault.UNKNOWN, "GET", "versioning", times=2)
        front.inject(Fault.UNKNOWN, "GET", "versions", times=2)
        storage = S3Storage("plain", "", S3Settings(endpoint_url=front.url))
        storage.put("packs/one", b"content")
        assert not storage.keeps_versions()
        assert [info.name for info in storage.list_versions()] == ["packs/one"]
        storage.close()

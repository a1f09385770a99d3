"""S3 servers: moto, MiniStack and rclone, each over http; `tests.servers.faults.Proxy` puts TLS in front."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3

from tests.servers.process import answers, free_port, program, running

ACCESS_KEY = "AKIADRTOOLTESTS00001"
SECRET_KEY = "drtool-tests-secret"
REGION = "us-east-1"


@contextmanager
def moto_server(directory: Path) -> Iterator[int]:
    """moto; yields its port. Accepts any credentials."""
    port_file = directory / "moto.port"
    command = [sys.executable, "-m", "tests.servers.moto_main", str(port_file)]
    with running(command, port_file.exists, directory / "moto.log", _without_credentials()):
        yield int(port_file.read_text())


@contextmanager
def ministack_server(directory: Path) -> Iterator[int]:
    """MiniStack with S3 only; yields its port."""
    port = free_port()
    environment = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "LOG_LEVEL": "WARNING",
    }
    command = [program("ministack")]
    with running(command, lambda: answers(port), directory / "ministack.log", environment):
        yield port


@contextmanager
def rclone_server(directory: Path) -> Iterator[int]:
    """``rclone serve s3`` on a directory; yields its port."""
    port = free_port()
    data = directory / "rclone"
    data.mkdir()
    command = [program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull, str(data)]
    with running(command, lambda: answers(port), directory / "rclone.log"):
        yield port


def make_bucket(port: int, bucket: str, *, versions: bool = False, locks: bool = False) -> None:
    """Make a bucket on the server at 127.0.0.1:`port`; one with Object Lock has versions, too."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locks)
    if versions:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.close()


def _without_credentials() -> Mapping[str, str]:
    """moto refuses to be reached by real keys; it gets none to reach anything with."""
    return {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}

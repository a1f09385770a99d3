"""Making botocore's S3 client with the settings that drtool relies on."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader

from drtool.errors import StorageError
from drtool.storage.s3_errors import translate

if TYPE_CHECKING:
    from typing import Literal

    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 90.0


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach an S3 store; None leaves it to boto3 (environment, ``~/.aws``, machine role).

    ``ca_bundle`` is a file of PEM certificates. ``addressing`` says where a request names the bucket; None is ``path``
    with an endpoint of one's own and ``auto`` with AWS.
    """

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    ca_bundle: str | None = None
    addressing: Literal["auto", "path", "virtual"] | None = None
    max_connections: int = 32


def make_client(settings: S3Settings, what: str) -> S3Client:
    """A client for any number of threads. Raises ``StorageError`` (``PermissionDeniedError``) naming `what`.

    botocore does not repeat requests, since ``drtool.storage.retry`` does. Checksums are drtool's own: the default of
    trailing checksums is refused, or stored as data, by other servers than AWS'. The signature covers the body,
    also over TLS, so that every server that checks signatures checks what arrived.
    """
    try:
        return _session(settings).client(
            "s3",
            endpoint_url=settings.endpoint_url,
            verify=settings.ca_bundle,
            config=_config(settings),
        )
    except BotoCoreError as error:
        raise translate(error, "connect to", what) from error
    except (ValueError, OSError) as error:
        raise StorageError(f"cannot connect to {what}: {error}", hint="Check endpoint_url and ca_bundle.") from error


def _session(settings: S3Settings) -> boto3.Session:
    core = botocore.session.Session(profile=settings.profile)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return boto3.Session(profile_name=settings.profile, region_name=settings.region, botocore_session=core)


@functools.cache
def _loader(search_path: str | None) -> Loader:
    """What botocore knows of S3: a large file, read once for all clients instead of once for each (0.1 s)."""
    return create_loader(search_path)


def _config(settings: S3Settings) -> Config:
    own_endpoint = settings.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=settings.max_connections,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        tcp_keepalive=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": settings.addressing or ("path" if own_endpoint else "auto"),
            "payload_signing_enabled": True,
        },
    )

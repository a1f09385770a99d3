"""Making botocore's S3 client with the settings that drtool relies on."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

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
        client = _session(settings).create_client(
            "s3",
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            verify=settings.ca_bundle,
            config=_config(settings),
        )
    except BotoCoreError as error:
        raise translate(error, "connect to", what) from error
    except (ValueError, OSError) as error:
        raise StorageError(f"cannot connect to {what}: {error}", hint="Check endpoint_url and ca_bundle.") from error
    return cast("S3Client", client)


def _session(settings: S3Settings) -> botocore.session.Session:
    # Not boto3's, which adds a manager of transfers that nothing here uses, and takes twice as long to import.
    core = botocore.session.Session(profile=settings.profile)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return core


@functools.cache
def _loader(search_path: str | None) -> Loader:
    """What botocore knows of S3: a large file, read once for all clients instead of once for each (0.1 s)."""
    return create_loader(search_path)


def _timestamp(value: Any) -> datetime:
    """Times of listings, which have one for each object, without botocore's parser for all formats (0.2 ms each)."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return parse_timestamp(value)


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

"""Where a repository or a copy of it lies, and how it is reached."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from drtool.config.model import Model
from drtool.config.paths import ConfigPath, resolve

# Buckets of S3 itself, and the capitals and underscores that other stores and very old buckets have.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


def normal_url(url: str, info: ValidationInfo) -> str:
    """``s3://bucket[/prefix]`` without a slash at its end, or the absolute path of a directory (``file://`` taken off).

    ``ValueError`` for anything else; the sentence never holds the address, which may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url.strip():
            raise ValueError("is empty")
        return str(resolve(url, info))
    if scheme == "file":
        path = rest.removeprefix("localhost")
        if not path.startswith("/"):
            raise ValueError("a file:// address needs an absolute path: file:///srv/backups")
        return str(resolve(unquote(path), info))
    if scheme != "s3":
        raise ValueError("must be s3://BUCKET/PREFIX or a directory")
    if "@" in rest.partition("/")[0]:
        raise ValueError("credentials do not belong in an address; use the environment, or a profile")
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("names no valid bucket; write s3://BUCKET/PREFIX")
    prefix = prefix.rstrip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise ValueError("the prefix has an empty part, '.' or '..'")
    return f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"


class ObjectLockSettings(Model):
    """How long the store must refuse to delete what is put into it."""

    mode: Literal["COMPLIANCE", "GOVERNANCE"] = Field(
        default="COMPLIANCE", description="COMPLIANCE: nobody can shorten it. GOVERNANCE: who has the right to can."
    )
    days: int = Field(ge=1, le=36_500, description="For how many days from its upload an object cannot be deleted.")


class StoreSettings(Model):
    """A bucket or a directory. ``url`` is ``s3://BUCKET[/PREFIX]`` or an absolute directory; paths are absolute."""

    url: Annotated[str, AfterValidator(normal_url)] = Field(description="s3://BUCKET/PREFIX, or a directory.")
    region: str | None = Field(default=None, description="The bucket's region.")
    endpoint_url: str | None = Field(default=None, description="The address of an S3-compatible store.")
    profile: str | None = Field(default=None, description="A profile of ~/.aws/config with the credentials.")
    ca_bundle: ConfigPath | None = Field(
        default=None, description="Certificates to trust when talking to the store (PEM)."
    )

    object_lock: ObjectLockSettings | None = Field(
        default=None, description="Locks on uploaded objects; the bucket must have Object Lock enabled."
    )

    @field_validator("region", "endpoint_url", "profile", "ca_bundle")
    @classmethod
    def _only_for_buckets(cls, value: object, info: ValidationInfo) -> object:
        url = info.data.get("url")
        if value is not None and isinstance(url, str) and not url.startswith("s3://"):
            raise ValueError("has a meaning only for an s3:// repository")
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise ValueError("is no valid address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with https:// or http://, with a host after it")
        if "@" in parts.netloc:
            raise ValueError("credentials do not belong in an address; use the environment, or a profile")
        return value

    @field_validator("object_lock")
    @classmethod
    def _only_where_there_are_locks(cls, value: object, info: ValidationInfo) -> object:
        url = info.data.get("url")
        if value is not None and isinstance(url, str) and not url.startswith("s3://"):
            raise ValueError("needs an s3:// repository: a directory cannot lock what is in it")
        return value

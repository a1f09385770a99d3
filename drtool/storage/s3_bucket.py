"""What a bucket says of itself, and which rights over it the credentials have: for ``drtool doctor``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drtool.errors import PermissionDeniedError, StorageError
from drtool.storage.base import Expiry, Keeping, Lock, Rights
from drtool.storage.probing import PROBE_PREFIX
from drtool.storage.s3_errors import FAILURES, translate
from drtool.storage.s3_locks import lock_request

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How stores say that a bucket has no configuration of the kind asked for, or that they know no such kind.
_NONE = {
    "ObjectLockConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
    "NotImplemented",
    "NoSuchObjectLockConfiguration",
}
#: By how many seconds it is tried to shorten a lock.
SHORTER = 10
_Asked = tuple[str, Callable[..., Any]]


class Bucket:
    """A bucket, of which what lies below `prefix` is ours (empty, or with a slash at its end)."""

    def __init__(self, client: S3Client, name: str, prefix: str) -> None:
        self._client = client
        self._name = name
        self._prefix = prefix

    def keeping(self) -> Keeping:
        """See ``Storage.keeping``."""
        client = self._client
        versioning = self._ask("s3:GetBucketVersioning", client.get_bucket_versioning)
        locks = self._ask("s3:GetBucketObjectLockConfiguration", client.get_object_lock_configuration)
        lifecycle = self._ask("s3:GetLifecycleConfiguration", client.get_bucket_lifecycle_configuration)
        lock = (locks or {}).get("ObjectLockConfiguration", {})
        default = lock.get("Rule", {}).get("DefaultRetention", {})
        days = default.get("Days") or 365 * default.get("Years", 0)
        return Keeping(
            versions=None if versioning is None else versioning.get("Status") == "Enabled",
            locks=None if locks is None else lock.get("ObjectLockEnabled") == "Enabled",
            default_lock=(default["Mode"], days) if days else None,
            expiries=None if lifecycle is None else tuple(self._expiries(lifecycle)),
        )

    def rights(self, lock: Lock | None) -> Rights:
        """See ``Storage.rights``."""
        canary = f"{self._prefix}{PROBE_PREFIX}{secrets.token_hex(8)}"
        client = self._client
        first = self._require("s3:PutObject", self._put(canary, None))
        hide = self._may("s3:DeleteObject", client.delete_object, Key=canary)
        found = Rights(
            hide=hide,
            delete_versions=self._may_delete(canary, first["VersionId"]) if "VersionId" in first else hide,
            lifecycle=self._may_remove_nothing(
                ("s3:GetLifecycleConfiguration", client.get_bucket_lifecycle_configuration),
                ("s3:PutLifecycleConfiguration", client.delete_bucket_lifecycle),
            ),
            policy=self._may_remove_nothing(
                ("s3:GetBucketPolicy", client.get_bucket_policy),
                ("s3:DeleteBucketPolicy", client.delete_bucket_policy),
            ),
        )
        return found if lock is None else self._locked_rights(found, canary, lock)

    def _locked_rights(self, found: Rights, canary: str, lock: Lock) -> Rights:
        """`found`, and what may be done to a locked object, from what destroys it least to what destroys it most."""
        put = self._require("s3:PutObject", self._put(canary, lock))
        version = {"Key": canary, "VersionId": put["VersionId"]}
        sooner = {"Mode": lock.mode, "RetainUntilDate": lock.until - timedelta(seconds=SHORTER)}
        shorten = self._may("s3:PutObjectRetention", self._client.put_object_retention, Retention=sooner, **version)
        deleted = self._may_delete(canary, put["VersionId"])
        bypass = None
        if not deleted and lock.mode == "GOVERNANCE":
            bypass = self._may(
                "s3:BypassGovernanceRetention", self._client.delete_object, BypassGovernanceRetention=True, **version
            )
        return replace(found, delete_locked=deleted, shorten=shorten, bypass=bypass)

    def _put(self, key: str, lock: Lock | None) -> Callable[..., Any]:
        return partial(self._client.put_object, Key=key, Body=b"", **lock_request(lock, b""))

    def _may_delete(self, key: str, version: str) -> bool:
        return self._may("s3:DeleteObjectVersion", self._client.delete_object, Key=key, VersionId=version)

    def _may(self, right: str, request: Callable[..., Any], **arguments: Any) -> bool:
        return self._ask(right, partial(request, **arguments)) is not None

    def _may_remove_nothing(self, reading: _Asked, removing: _Asked) -> bool | None:
        """Deleting a configuration that is not there changes nothing; where there is one it is not tried."""
        return self._ask(*removing) is not None if self._ask(*reading) == {} else None

    def _require(self, right: str, request: Callable[..., Any]) -> Mapping[str, Any]:
        answer = self._ask(right, request)
        if answer is None:
            raise PermissionDeniedError(f"{right} on s3://{self._name}/{self._prefix} is not allowed")
        return answer

    def _expiries(self, lifecycle: Mapping[str, Any]) -> Iterator[Expiry]:
        for rule in lifecycle.get("Rules", ()):
            scope = rule.get("Filter", {})
            prefix = rule.get("Prefix") or scope.get("Prefix") or scope.get("And", {}).get("Prefix") or ""
            mine = prefix.startswith(self._prefix) or self._prefix.startswith(prefix)
            expires = rule.get("Expiration", {})
            days = 0 if "Date" in expires else expires.get("Days")
            noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
            if mine and rule.get("Status") == "Enabled" and (days is not None or noncurrent is not None):
                yield Expiry(rule.get("ID", ""), prefix.removeprefix(self._prefix), days, noncurrent)

    def _ask(self, right: str, request: Callable[..., Any]) -> Mapping[str, Any] | None:
        """The answer; empty where there is nothing of the kind, None where these credentials may not know."""
        try:
            answer: Mapping[str, Any] = request(Bucket=self._name)
        except FAILURES as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _NONE:
                return {}
            failure: StorageError = translate(error, right, f"s3://{self._name}")
            if isinstance(failure, PermissionDeniedError):
                return None
            raise failure from error
        return answer

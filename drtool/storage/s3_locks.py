"""S3's Object Lock as requests and answers have it (S3 User Guide, "Locking objects with Object Lock").

A put with lock headers needs a digest of its body: AWS takes any checksum, other servers only Content-MD5.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from botocore.exceptions import ClientError

from drtool.errors import UnsafeStorageError
from drtool.storage.base import Lock

#: How stores say that a bucket was made without Object Lock.
_WITHOUT = {"InvalidRequest", "InvalidBucketState", "ObjectLockConfigurationNotFoundError", "NotImplemented"}


def lock_request(lock: Lock | None, body: bytes) -> dict[str, Any]:
    """What a put says to lock what it stores."""
    if lock is None:
        return {}
    return {
        "ContentMD5": b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
        "ObjectLockMode": lock.mode,
        "ObjectLockRetainUntilDate": lock.until,
    }


def retention_request(lock: Lock, version: str | None) -> dict[str, Any]:
    """What PutObjectRetention is asked."""
    request: dict[str, Any] = {"Retention": {"Mode": lock.mode, "RetainUntilDate": lock.until}}
    return request if version is None else {**request, "VersionId": version}


def lock_of(answer: Mapping[str, Any]) -> Lock | None:
    """The lock that the answer to a HEAD tells."""
    mode, until = answer.get("ObjectLockMode"), answer.get("ObjectLockRetainUntilDate")
    return Lock(mode, until.astimezone(UTC)) if mode and until else None


@contextmanager
def refused_without_locks(what: str, lock: Lock | None) -> Iterator[None]:
    """Inside, what is asked for locks `what`, unless `lock` is None: a bucket without locks is named as such."""
    try:
        yield
    except ClientError as error:
        if lock is not None and error.response.get("Error", {}).get("Code") in _WITHOUT:
            raise UnsafeStorageError(
                f"{what} cannot be locked: {error.response['Error'].get('Message', '')}".rstrip(": "),
                hint="Object Lock is switched on when a bucket is made: use such a bucket, or take"
                " repository.object_lock out.",
            ) from error
        raise

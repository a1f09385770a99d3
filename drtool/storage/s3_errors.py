"""What a failed S3 request means for the one who made it: botocore's errors as drtool's.

The codes are those of S3's "Error responses" reference, and those that Ceph, MinIO and others add.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ResponseStreamingError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from drtool.errors import (
    BucketMissingError,
    CorruptAnswerError,
    ObjectMissingError,
    PermissionDeniedError,
    PreconditionFailedError,
    StorageError,
    StorageFullError,
    ThrottledError,
    TransientStorageError,
)

#: Everything that a call of botocore's S3 client, or reading the body it returned, raises for reasons of its own.
FAILURES = (ClientError, BotoCoreError, HTTPError)

_CREDENTIALS_HINT = (
    "Credentials come from boto3's own chain: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "a profile in ~/.aws/credentials, or the role of the machine."
)
_CLOCK_HINT = "Set this host's clock (NTP): S3 refuses requests that are more than 15 minutes off."
_REGION_HINT = "Set the repository's region to the one that the bucket lies in."

_MISSING = {"NoSuchKey", "NoSuchVersion", "NotFound", "404"}
_CONDITION = {"PreconditionFailed", "412"}
_THROTTLED = {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "RequestLimitExceeded",
    "TooManyRequests",
    "BandwidthLimitExceeded",
}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "507"}
_DIGEST = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "XAmzContentChecksumMismatch"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"}
_NOT_DONE = {
    "RequestTimeTooSkewed": _CLOCK_HINT,
    "ExpiredToken": "The session's credentials ran out: renew them.",
    "ExpiredTokenException": "The session's credentials ran out: renew them.",
    "ConditionalRequestConflict": "",
    "OperationAborted": "",
    "RequestTimeout": "",
}


def translate(error: Exception, action: str, what: str) -> StorageError:
    """The ``StorageError`` for one of `FAILURES`.

    `action` is the permission's name (``s3:PutObject``), `what` the URL.
    """
    if isinstance(error, ClientError):
        return _answered(error, action, what)
    return _unanswered(error, f"{action} {what}: {_text(error)}")


def _answered(error: ClientError, action: str, what: str) -> StorageError:
    details = error.response.get("Error", {})
    code = details.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = " ".join(part for part in (code, details.get("Message", "")) if part)
    message = f"{action} {what}: {said or f'status {status}'}"
    for applies, make in _ANSWERS:
        if applies(code, status):
            return make(message, code, action)
    return StorageError(message)


def _denied(message: str, code: str, action: str) -> StorageError:
    if code in _KEYS:
        return PermissionDeniedError(message, hint=f"The store does not accept the key. {_CREDENTIALS_HINT}")
    hint = f"Allow {action} on the bucket and prefix."
    if action in {"s3:GetObject", "s3:GetObjectVersion"}:
        hint += " Without s3:ListBucket S3 answers the same for objects that do not exist."
    return PermissionDeniedError(message, hint=hint)


_Made = Callable[[str, str, str], StorageError]

_ANSWERS: tuple[tuple[Callable[[str, int], bool], _Made], ...] = (
    (
        lambda code, _: code == "NoSuchBucket",
        lambda message, *_: BucketMissingError(message, hint="Make the bucket first, or correct the repository's URL."),
    ),
    (
        lambda code, _: code in _NOT_DONE,
        lambda message, code, _: TransientStorageError(message, hint=_NOT_DONE[code], ambiguous=False),
    ),
    (
        lambda code, status: code in _THROTTLED or "Throttl" in code or status == 429,
        lambda message, *_: ThrottledError(message, ambiguous=False),
    ),
    (
        lambda code, _: code in _REGION,
        lambda message, *_: StorageError(message, hint=_REGION_HINT),
    ),
    (
        lambda code, _: code in _DIGEST,
        lambda message, *_: CorruptAnswerError(message, hint="What arrived was not what was sent.", ambiguous=False),
    ),
    (
        lambda code, status: code in _CONDITION or status == 412,
        lambda message, *_: PreconditionFailedError(message),
    ),
    (
        lambda code, status: code in _FULL or status == 507,
        lambda message, *_: StorageFullError(message),
    ),
    (
        # 405 is the answer for a version that is a delete marker.
        lambda code, status: code in _MISSING or status in {404, 405},
        lambda message, *_: ObjectMissingError(message),
    ),
    (lambda _, status: status in {401, 403}, _denied),
    (
        lambda code, status: status >= 500 and code != "NotImplemented",
        lambda message, *_: TransientStorageError(message, ambiguous=True),
    ),
    (
        lambda code, _: code == "InvalidObjectState",
        lambda message, *_: StorageError(message, hint="The object lies in an archive class: bring it back first."),
    ),
)


def _unanswered(error: Exception, message: str) -> StorageError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound):
        return PermissionDeniedError(message, hint=_CREDENTIALS_HINT)
    if isinstance(error, ResponseStreamingError | IncompleteReadError | FlexibleChecksumError):
        return CorruptAnswerError(message)
    if isinstance(error, SSLError) and "CERTIFICATE" in str(error).upper():
        return StorageError(message, hint="Name the authority that signed the store's certificate (ca_bundle).")
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ProxyConnectionError):
        return TransientStorageError(message, ambiguous=False)
    if isinstance(error, HTTPClientError | SSLError | HTTPError):
        return TransientStorageError(message, ambiguous=True)
    return StorageError(message)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())

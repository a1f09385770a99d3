"""An S3 bucket, or a prefix of one, as storage: one plain request per call, over boto3."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drtool.errors import (
    BucketMissingError,
    CorruptAnswerError,
    ObjectMissingError,
    PermissionDeniedError,
    PreconditionFailedError,
    StorageError,
    TransientStorageError,
)
from drtool.storage.base import Buffer, Capabilities, Keeping, Lock, ObjectInfo, Rights
from drtool.storage.names import check_name, check_prefix, is_name
from drtool.storage.probing import probe
from drtool.storage.s3_bucket import Bucket
from drtool.storage.s3_client import S3Settings, make_client
from drtool.storage.s3_errors import FAILURES, translate
from drtool.storage.s3_locks import lock_of, lock_request, refused_without_locks, retention_request
from drtool.storage.s3_versions import versions_of_page

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_Put = Callable[[dict[str, Any]], ObjectInfo]


class S3Storage:
    """Implements ``drtool.storage.base.Storage``; `prefix` has no slash at its ends."""

    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = make_client(settings or S3Settings(), self.url)
        self._ward = Bucket(self._client, bucket, self._prefix)
        self._capabilities: Capabilities | None = None
        self._keeps_versions: bool | None = None
        self._bucket_seen = False
        self._quote_etags = False

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(
        self,
        name: str,
        data: Buffer,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: bytes | None = None,
        lock: Lock | None = None,
    ) -> ObjectInfo:
        """See ``Storage.put``."""
        check_name(name)
        if if_absent and if_match is not None:
            raise ValueError("if_absent and if_match exclude each other")
        body = data if isinstance(data, bytes) else bytes(data)
        put = self._putting(name, body, sha256, lock)
        if if_match is not None:
            return self._swap(name, put, if_match)
        return put({"IfNoneMatch": "*"} if if_absent else {})

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """See ``Storage.get``. A whole object is checked against the checksum of its put, where the store kept it."""
        check_name(name)
        whole = offset == 0 and length is None
        if offset < 0 or length == 0 or (length is not None and length < 0):
            return self._get_nothing(name, offset, length or 0, version)
        request: dict[str, Any] = {} if version is None else {"VersionId": version}
        if whole:
            request["ChecksumMode"] = "ENABLED"
        else:
            request["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + length - 1))
        with self._calling("s3:GetObject" if version is None else "s3:GetObjectVersion", name, version):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), **request)
            except ClientError as error:
                if _code(error) in {"InvalidRange", "416"}:
                    return self._get_nothing(name, offset, length or 0, version)
                raise
            except AttributeError as error:
                # botocore takes the body of a 5xx answer for text, but has wrapped it where a checksum came along.
                raise TransientStorageError(f"{self._where(name)}: the store failed while answering") from error
            with closing(answer["Body"]) as body:
                if not whole:
                    self._check_range(name, answer, offset, length)
                data = body.read()
        if len(data) != answer["ContentLength"]:
            raise CorruptAnswerError(f"{self._where(name)}: {len(data)} of {answer['ContentLength']} bytes arrived")
        return data

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """See ``Storage.head``."""
        check_name(name)
        request: dict[str, Any] = {} if version is None else {"VersionId": version}
        try:
            with self._calling("s3:GetObject" if version is None else "s3:GetObjectVersion", name, version):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name), **request)
        except ObjectMissingError:
            self._require_bucket()
            raise
        return ObjectInfo(
            name,
            answer["ContentLength"],
            answer["LastModified"].astimezone(UTC),
            _bare(answer["ETag"]),
            _version(answer.get("VersionId")),
            lock=lock_of(answer),
        )

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list``."""
        check_prefix(prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._calling("s3:ListBucket", prefix):
            for page in pages:
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(self._prefix)
                    if is_name(name):
                        modified = entry["LastModified"].astimezone(UTC)
                        yield ObjectInfo(name, entry["Size"], modified, _bare(entry["ETag"]))

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list_versions``."""
        check_prefix(prefix)
        if not self.keeps_versions():
            yield from self.list(prefix)
            return
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._calling("s3:ListBucketVersions", prefix):
            for page in pages:
                yield from versions_of_page(page, self._prefix)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``."""
        check_name(name)
        request: dict[str, Any] = {} if version is None else {"VersionId": version}
        try:
            with self._calling("s3:DeleteObject" if version is None else "s3:DeleteObjectVersion", name, version):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(name), **request)
        except ObjectMissingError:
            self._require_bucket()

    def keeps_versions(self) -> bool:
        """See ``Storage.keeps_versions``."""
        if self._keeps_versions is None:
            try:
                with self._calling("s3:GetBucketVersioning", ""):
                    answer = self._client.get_bucket_versioning(Bucket=self._bucket)
                self._keeps_versions = "Status" in answer
            except PermissionDeniedError:
                self._keeps_versions = True
            except StorageError as error:
                cause = error.__cause__
                if not (isinstance(cause, ClientError) and _code(cause) == "NotImplemented"):
                    raise
                self._keeps_versions = False
        return self._keeps_versions

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:
        """See ``Storage.set_lock``."""
        check_name(name)
        request = retention_request(lock, version)
        with self._calling("s3:PutObjectRetention", name, version), refused_without_locks(self._where(name), lock):
            self._client.put_object_retention(Bucket=self._bucket, Key=self._key(name), **request)

    def keeping(self) -> Keeping:
        """See ``Storage.keeping``."""
        return self._ward.keeping()

    def rights(self, lock: Lock | None) -> Rights:
        """See ``Storage.rights``."""
        return self._ward.rights(lock)

    def probe(self) -> Capabilities:
        """See ``Storage.probe``."""
        if self._capabilities is None:
            self._capabilities = probe(self)
        return self._capabilities

    def now(self) -> datetime:
        """The Date of an answer; any will do, so a missing object or right is no error here."""
        with self._calling("s3:ListBucket", ""):
            try:
                metadata: Mapping[str, Any] = self._client.head_bucket(Bucket=self._bucket)["ResponseMetadata"]
            except ClientError as error:
                metadata = error.response["ResponseMetadata"]
                if metadata["HTTPStatusCode"] not in {403, 404}:
                    raise
        return self._date(metadata)

    def close(self) -> None:
        """See ``Storage.close``."""
        self._client.close()

    def _putting(self, name: str, body: bytes, sha256: bytes | None, lock: Lock | None) -> _Put:
        """What stores `body`, given a condition."""
        digest = hashlib.sha256(body).digest() if sha256 is None else sha256
        request: dict[str, Any] = {"ChecksumSHA256": b64encode(digest).decode(), **lock_request(lock, body)}

        def put(condition: dict[str, Any]) -> ObjectInfo:
            with self._calling("s3:PutObject", name), refused_without_locks(self._where(name), lock):
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=self._key(name), Body=body, **request, **condition
                )
            return ObjectInfo(
                name,
                len(body),
                self._date(answer["ResponseMetadata"]),
                _bare(answer["ETag"]),
                _version(answer.get("VersionId")),
                lock=lock,
            )

        return put

    def _swap(self, name: str, put: _Put, etag: str) -> ObjectInfo:
        """Put if the object still has this etag.

        Servers disagree on whether If-Match takes the ETag with its quotes (RFC 9110) or without (Ceph). Both say
        the same, so where one form fails although HEAD shows the very etag, the other is tried, and remembered.
        """
        try:
            return self._put_if_match(put, etag, quoted=self._quote_etags)
        except PreconditionFailedError:
            if self._current_etag(name) != etag:
                raise
        quoted = not self._quote_etags
        info = self._put_if_match(put, etag, quoted=quoted)
        self._quote_etags = quoted
        return info

    @staticmethod
    def _put_if_match(put: _Put, etag: str, *, quoted: bool) -> ObjectInfo:
        try:
            return put({"IfMatch": f'"{etag}"' if quoted else etag})
        except ObjectMissingError as error:
            raise PreconditionFailedError(error.message) from error

    def _current_etag(self, name: str) -> str | None:
        try:
            return self.head(name).etag
        except ObjectMissingError:
            return None

    def _get_nothing(self, name: str, offset: int, length: int, version: str | None) -> bytes:
        """The answer to a range that S3 cannot express or refuses: empty if it lies within, else an error."""
        size = self.head(name, version=version).size
        if offset >= 0 and length == 0 and offset <= size:
            return b""
        raise self._outside(name, offset, offset + length, size)

    def _check_range(self, name: str, answer: GetObjectOutputTypeDef, offset: int, length: int | None) -> None:
        covered, _, total = answer.get("ContentRange", "").removeprefix("bytes ").partition("/")
        first, _, last = covered.partition("-")
        if not (first.isdigit() and last.isdigit() and total.isdigit()) or int(first) != offset:
            raise StorageError(f"{self._where(name)}: the store does not honour ranges")
        end = int(total) if length is None else offset + length
        if end > int(total):
            raise self._outside(name, offset, end, int(total))
        if int(last) + 1 != end or answer["ContentLength"] != end - offset:
            raise CorruptAnswerError(f"{self._where(name)}: bytes {covered} came for {offset}-{end - 1}")

    def _outside(self, name: str, offset: int, end: int, size: int) -> StorageError:
        return StorageError(f"{self._where(name)}: bytes {offset} to {end} lie outside of its {size}")

    def _require_bucket(self) -> None:
        """A HEAD that finds nothing does not say whether the bucket is there."""
        if self._bucket_seen:
            return
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except FAILURES as error:
            failure = translate(error, "s3:ListBucket", self.url)
            if isinstance(failure, ObjectMissingError):
                raise BucketMissingError(f"there is no bucket {self._bucket}", hint="Make it first.") from error
            if not isinstance(failure, PermissionDeniedError):
                raise failure from error
        self._bucket_seen = True

    @contextmanager
    def _calling(self, action: str, name: str, version: str | None = None) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            failure = translate(error, action, self._where(name))
            if version is not None and isinstance(error, ClientError) and _code(error) in {"InvalidArgument", "400"}:
                # Version ids are opaque: one that another store made is malformed here, and not there either.
                failure = ObjectMissingError(f"there is no version {version} of {self._where(name)}")
            raise failure from error

    def _date(self, metadata: Mapping[str, Any]) -> datetime:
        date = metadata.get("HTTPHeaders", {}).get("date")
        if date is None:
            raise StorageError(f"{self.url}: the store does not say what time it is (no Date in its answers)")
        return parsedate_to_datetime(date).astimezone(UTC)

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _where(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._key(name)}"


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _bare(etag: str) -> str:
    return etag.strip('"')


def _version(version: str | None) -> str | None:
    return None if version == "null" else version

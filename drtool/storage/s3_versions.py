"""S3's listing of versions as `ObjectInfo`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import TYPE_CHECKING

from drtool.storage.base import ObjectInfo
from drtool.storage.names import is_name

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectVersionsOutputTypeDef


def versions_of_page(page: ListObjectVersionsOutputTypeDef, prefix: str) -> Iterator[ObjectInfo]:
    """One page's versions and delete markers, which S3 lists apart, by name, newest first; `prefix` is cut off.

    The version ``null`` (written before the bucket kept versions) is reported as such: it is deleted by that name.
    """
    entries = [
        ObjectInfo(
            entry["Key"].removeprefix(prefix),
            entry["Size"],
            entry["LastModified"].astimezone(UTC),
            entry["ETag"].strip('"'),
            entry["VersionId"],
            entry["IsLatest"],
        )
        for entry in page.get("Versions", ())
    ]
    entries += [
        ObjectInfo(
            entry["Key"].removeprefix(prefix),
            0,
            entry["LastModified"].astimezone(UTC),
            "",
            entry["VersionId"],
            entry["IsLatest"],
            is_delete_marker=True,
        )
        for entry in page.get("DeleteMarkers", ())
    ]
    yield from sorted((entry for entry in entries if is_name(entry.name)), key=_order)


def _order(info: ObjectInfo) -> tuple[str, bool, float]:
    return info.name, not info.is_latest, -info.modified.timestamp()

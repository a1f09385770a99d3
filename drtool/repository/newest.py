"""repository.json of a store that keeps versions: the highest sequence that the root signed, whatever hides it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from drtool.errors import (
    FormatVersionError,
    ObjectMissingError,
    PermissionDeniedError,
    RepositoryError,
    RepositoryMissingError,
)
from drtool.repository.trust import REPOSITORY_NAME, RepositoryDocument
from drtool.repository.versions import Hidden
from drtool.storage.base import ObjectInfo, Storage

#: repository.json is never larger (bytes).
LARGEST = 16 * 1024 * 1024
_AT_ONCE = 8


def read_newest(storage: Storage, root: bytes) -> tuple[RepositoryDocument, Hidden | None]:
    """The document, and what is to be told if it is not the current version that says so.

    Errors: see `RepositoryDocument.parse`, of the current version where none is right; ``RepositoryMissingError``
    where there is none at all.
    """
    current: RepositoryDocument | None = None
    failure: RepositoryError
    try:
        current = RepositoryDocument.parse(storage.get(REPOSITORY_NAME), root)
    except ObjectMissingError as error:
        failure = RepositoryMissingError(f"there is no repository at {storage.url}")
        failure.__cause__ = error
    except FormatVersionError:
        raise  # a later version of drtool may have written it: what lies behind it is not to be used any more
    except RepositoryError as error:
        failure = error
    versions = _versions(storage)
    latest = next((info for info in versions if info.is_latest), None)
    best, at = current, latest
    for info, document in _parsed(storage, versions, root):
        if best is None or document.sequence > best.sequence:
            best, at = document, info
    if best is None:
        raise failure
    if at is latest or at is None or at.version is None or latest is None:
        return best, None
    return best, Hidden(REPOSITORY_NAME, at.version, latest.is_delete_marker, latest.modified)


def _versions(storage: Storage) -> list[ObjectInfo]:
    """Of contents that are there several times, the newest version; none where these credentials may not see them."""
    if not storage.keeps_versions():
        return []
    try:
        found = [info for info in storage.list_versions(REPOSITORY_NAME) if info.name == REPOSITORY_NAME]
    except PermissionDeniedError:
        return []
    seen: set[tuple[str, int]] = set()
    kept = []
    for info in found:
        if info.is_delete_marker or (info.etag, info.size) not in seen:
            kept.append(info)
            seen.add((info.etag, info.size))
    return kept


def _parsed(storage: Storage, versions: list[ObjectInfo], root: bytes) -> list[tuple[ObjectInfo, RepositoryDocument]]:
    def parse(info: ObjectInfo) -> tuple[ObjectInfo, RepositoryDocument] | None:
        try:
            return info, RepositoryDocument.parse(storage.get(REPOSITORY_NAME, version=info.version), root)
        except (RepositoryError, ObjectMissingError):
            return None  # whoever may write can put anything there

    older = [v for v in versions if not v.is_latest and not v.is_delete_marker and v.version and v.size <= LARGEST]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="versions") as pool:
        return [found for found in pool.map(parse, older) if found is not None]

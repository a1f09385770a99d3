"""Deleting an object for good, on a store that keeps versions too."""

from __future__ import annotations

from collections.abc import Iterable

from drtool.errors import PermissionDeniedError
from drtool.storage.base import ObjectInfo, Storage


def current_objects(storage: Storage, prefix: str) -> list[ObjectInfo]:
    """What the store itself holds to be there, whatever a `VersionedStorage` finds behind it: what a conditional put
    meets."""
    try:
        found = list(storage.list_versions(prefix))
    except PermissionDeniedError:
        found = list(storage.list(prefix))
    return [info for info in found if info.is_latest and not info.is_delete_marker]


def erase(storage: Storage, name: str) -> bool:
    """Delete an object with all of its versions; False where some of them stay, hidden if these credentials may hide.

    They stay where they are locked, or where the credentials may not delete or list versions.
    """
    try:
        versions = [info for info in storage.list_versions(name) if info.name == name and info.version is not None]
    except PermissionDeniedError:
        _deleted(storage, name, None)
        return False
    if not versions:
        return _deleted(storage, name, None)
    kept = [info for info in versions if not _deleted(storage, name, info.version)]
    if any(not info.is_delete_marker for info in kept):
        _deleted(storage, name, None)
    return not kept


def withdraw(storage: Storage, rings: Iterable[str]) -> list[str]:
    """Erase these key rings, and the slots that were added for whom they were sealed to; the names of what stays."""
    kept = []
    for ring in rings:
        added = [info.name for info in storage.list(f"slots/{ring.rpartition('/')[2]}/")]
        # The ring last: as long as it is there, the next change of keys finds what this one did not get to.
        kept += [name for name in (*added, ring) if not erase(storage, name)]
    return kept


def _deleted(storage: Storage, name: str, version: str | None) -> bool:
    try:
        storage.delete(name, version=version)
    except PermissionDeniedError:
        return False
    return True

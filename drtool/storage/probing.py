"""Finding out what a store guarantees by trying it on a small object."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import timedelta

from drtool.errors import ObjectMissingError, PermissionDeniedError, PreconditionFailedError, StorageError
from drtool.storage.base import Capabilities, Storage

PROBE_PREFIX = "leases/probe-"
#: No trial takes that long: what is older was left behind.
OLD_AFTER = timedelta(hours=1)


def probe(storage: Storage) -> Capabilities:
    """Implements ``Storage.probe`` over the other methods.

    A store that answers a conditional put with an error of its own lacks it, like one that ignores the condition.
    """
    name = PROBE_PREFIX + secrets.token_hex(8)
    first = storage.put(name, secrets.token_bytes(16))
    try:
        create_only = _is_refused(storage, name, if_absent=True)
        second = storage.put(name, secrets.token_bytes(16))
        swap = (
            second.etag != first.etag
            and _is_refused(storage, name, if_match=first.etag)
            and _is_taken(storage, name, if_match=second.etag)
        )
        versions = sum(1 for info in storage.list_versions(name) if info.version is not None) > 1
    finally:
        remove_all(storage, name)
    return Capabilities(create_only_put=create_only, compare_and_swap=swap, versions=versions)


def remove_all(storage: Storage, prefix: str) -> None:
    """Remove every object that begins with `prefix`, with all its versions.

    What may not be deleted (a writer's credentials need no such right, and an object may be locked) stays.
    """
    for info in list(storage.list_versions(prefix)):
        with suppress(PermissionDeniedError):
            storage.delete(info.name, version=info.version)


def remove_old_probes(storage: Storage) -> None:
    """Remove what others' trials could not remove at once, because it was locked or they may not delete."""
    long_ago = storage.now() - OLD_AFTER
    for info in list(storage.list_versions(PROBE_PREFIX)):
        if info.modified < long_ago:
            with suppress(PermissionDeniedError):
                storage.delete(info.name, version=info.version)


def _is_refused(storage: Storage, name: str, *, if_absent: bool = False, if_match: str | None = None) -> bool:
    try:
        storage.put(name, secrets.token_bytes(16), if_absent=if_absent, if_match=if_match)
    except PreconditionFailedError:
        return True
    except StorageError as error:
        _raise_unless_unknown(error)
    return False


def _is_taken(storage: Storage, name: str, *, if_match: str) -> bool:
    content = secrets.token_bytes(16)
    try:
        storage.put(name, content, if_match=if_match)
        return storage.get(name) == content
    except (PreconditionFailedError, ObjectMissingError):
        return False
    except StorageError as error:
        _raise_unless_unknown(error)
        return False


def _raise_unless_unknown(error: StorageError) -> None:
    """Let pass a refusal of no particular kind: so a store says that it does not know a header."""
    if type(error) is not StorageError:
        raise error

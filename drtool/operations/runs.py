"""Registering operations that only read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from drtool.errors import (
    NoSuchSnapshotError,
    ObjectMissingError,
    PermissionDeniedError,
    StorageError,
    StorageFullError,
)
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Snapshot
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind


@contextlib.contextmanager
def registered(repository: Repository, kind: str, job: str, reporter: Reporter) -> Iterator[None]:
    """Register a run that only reads; that nothing can be written is no reason not to restore."""
    if not repository.may_sign(Kind.RUN):
        reporter.warn(
            "the root gave this key no role, so this run cannot register itself: do not prune until it has ended"
        )
        yield
        return
    run = Run(repository, kind, job)
    try:
        run.__enter__()
    except (PermissionDeniedError, StorageFullError) as error:
        reporter.warn(f"this run could not register itself ({error.message}): do not prune until it has ended")
        yield
        return
    try:
        yield
    except BaseException:
        run.__exit__(*sys.exc_info())
        raise
    try:
        run.__exit__(None, None, None)
    except StorageError as error:
        reporter.warn(f"this run could not say that it has ended, so prune may wait for it: {error.message}")


def require_still_there(repository: Repository, snapshot: Snapshot) -> None:
    """To be called once registered, because garbage collection waits from then on only: ``NoSuchSnapshotError`` where
    retention removed the snapshot before."""
    try:
        repository.storage.get(snapshot.manifest.name)
    except ObjectMissingError as error:
        raise NoSuchSnapshotError(f"snapshot {snapshot.id} was removed just now") from error

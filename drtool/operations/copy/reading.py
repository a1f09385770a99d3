"""Reading once more, inside a registered run, what was listed before it; and whether that run held until a commit."""

from __future__ import annotations

from drtool.errors import MissingObjectError, ObjectMissingError, RunExpiredError, TamperedError
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from drtool.repository.runs import Run


def read_again(source: Repository, name: str, hash_: str) -> bytes:
    """A manifest or segment object, which must be the one that was checked. ``MissingObjectError`` where retention took
    it meanwhile: then garbage collection may have taken what it needs."""
    try:
        data = source.storage.get(name)
    except ObjectMissingError as error:
        raise MissingObjectError(f"{name} is gone: it was removed meanwhile").about(name) from error
    if object_hash(data) != hash_:
        raise TamperedError(f"{name} was changed while it was copied").about(name)
    return data


def require_awake(run: Run, name: str) -> None:
    """After a commit: ``RunExpiredError`` where the machine slept while it was on its way, since garbage collection may
    have gone on without this run and taken what the object needs."""
    if run.lapsed:
        raise RunExpiredError(
            f"{name} was put, but this run slept while it was on its way: what it needs may have been cleaned away",
            hint="Copy again, and name the snapshot: then it is looked up chunk by chunk, and what is gone is sent.",
        )

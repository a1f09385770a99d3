"""Making a repository, its keys, and a first configuration."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RefusedError, StorageError
from drtool.repository.erasing import erase
from drtool.repository.locks import LockRule
from drtool.repository.repository import create
from drtool.repository.trust import REPOSITORY_NAME, keys_name
from drtool.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was made, and where the keys lie."""

    repository: str
    url: str
    fingerprint: str
    agent_key: Path
    identity: Path


def init(storage: Storage, *, agent_key: Path, identity: Path, rule: LockRule | None = None) -> Initialised:
    """Make a repository in `storage` and write its keys, each readable by this user alone.

    `rule` locks all that is put there; ``UnsafeStorageError`` where the store cannot lock.

    Nothing is made where one of the files exists already; a key file that cannot be written is an error before
    anything was stored.
    """
    if identity.exists():
        raise RefusedError(f"{identity} exists already", hint=_IDENTITY_EXISTS)
    if agent_key.exists():
        raise RefusedError(f"{agent_key} exists already", hint="Move it away, or name another file.")
    # Both files are there (empty) before the repository is: keys that could not be saved would be lost for good.
    try:
        for path in (agent_key, identity):
            # The directory above is not made: a medium that is not mounted should be noticed.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        _remove(agent_key, identity)
        raise StorageError(f"cannot write {error.filename}: {error.strerror}") from error
    try:
        created = create(storage, socket.gethostname(), rule)
    except BaseException:
        _remove(agent_key, identity)
        raise
    id_ = created.agent_key.repository.hex()
    try:
        _write(identity, created.identity.to_file(f"drtool identity of repository {id_}\n{_KEEP}"))
        _write(agent_key, created.agent_key.to_text())
    except OSError as error:
        with contextlib.suppress(StorageError):  # without its keys nobody could ever use it
            erase(storage, REPOSITORY_NAME)
            erase(storage, keys_name(created.identity.recipient))
        agent_key.unlink()
        identity.unlink()
        raise StorageError(f"the keys could not be saved, so nothing was made: {error.strerror}") from error
    return Initialised(id_, storage.url, created.identity.recipient.fingerprint.hex(), agent_key, identity)


_KEEP = "Whoever has this file can read every backup; without it nobody can. Keep it off the backup host."


_IDENTITY_EXISTS = (
    "If it belongs to a repository that exists, no init is needed: name it as repository.identity in the configuration."
    " For a new repository, name another file."
)


def _write(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.exists() and path.stat().st_size == 0:
            path.unlink()

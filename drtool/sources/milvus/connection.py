"""Connections, and the client's errors as drtool's.

Milvus Lite runs as threads of whatever process opens its directory, and locks that for all others. So it is closed,
when the last of those who opened it here is done, and nobody else writes while it is open.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drtool.errors import AuthenticationError, InstantMovedError, SourceError, UnreachableError
from drtool.sources.extras import require
from drtool.sources.milvus.address import DEFAULT_DATABASE, Address

EXTRA = "milvus"
_CONNECT_SECONDS = 10.0
_LOCK = "LOCK"
#: What lies in a directory that Milvus Lite has opened before: it makes one of whatever it is given.
_OF_LITE = (_LOCK, "collections")
_WRONG_PATH = "Set uri to the path that the application gives to MilvusClient."
#: Milvus' code for a collection that is not there (merr.go of milvus-io/milvus).
_NO_COLLECTION = 100
_NOT_LOADED = 101
#: Codes of what the account may not do.
_FORBIDDEN = (1400, 1401, 1402)
#: How a server words that without a code of its own.
_REFUSAL = re.compile(r"auth check|authenticat|permission deny", re.IGNORECASE)

_guard = threading.Lock()
_users: dict[Path, int] = {}


@contextlib.contextmanager
def translated(address: Address, doing: str) -> Iterator[None]:
    """The client's errors as drtool's."""
    exceptions = require("pymilvus.exceptions", EXTRA)
    grpc = require("grpc", EXTRA)
    try:
        yield
    except json.JSONDecodeError as error:  # a value that Milvus keeps and its own client cannot read
        raise SourceError(
            f"{address.shown}: {doing}: a JSON value cannot be read by Milvus' own client: {error}",
            hint="Milvus Lite keeps text in JSON fields that way: put it into an object, or exclude the collection.",
        ) from error
    except (exceptions.MilvusException, grpc.RpcError) as error:
        raise _explained(address, doing, error) from error


class Connection:
    """A client, closed once. With `create`, what is not there of a Milvus Lite database is made."""

    def __init__(self, address: Address, *, create: bool = False) -> None:
        self.address = address
        self._closed = False
        if address.path is not None and not create:
            _require_database(address.path)
        _be_quiet()
        self.client = _open(address, create=create)

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            self.client.close()
            if self.address.path is not None:
                _leave(self.address.path)


def version_of(connection: Connection) -> str:
    """The server's version, beginning with a digit."""
    with translated(connection.address, "asking for the version"):
        told = str(connection.client.get_server_version())
    return told.removeprefix("milvus_lite-").removeprefix("v")


def other_databases(connection: Connection) -> list[str]:
    """The databases of a Milvus Lite that the connection does not see; the one that is always there, where it holds
    something."""
    address, client = connection.address, connection.client
    with translated(address, "listing databases"):
        found = set(client.list_databases()) - {address.database}
        if DEFAULT_DATABASE in found:
            with contextlib.closing(type(client)(uri=str(address.path), timeout=_CONNECT_SECONDS)) as other:
                found -= set() if other.list_collections() else {DEFAULT_DATABASE}
    return sorted(found)


def _require_database(path: Path) -> None:
    if not path.exists():
        raise UnreachableError(f"{path} does not exist", hint=_WRONG_PATH)
    if path.is_dir() and not any((path / name).exists() for name in _OF_LITE):
        raise UnreachableError(f"{path} holds no Milvus Lite database", hint=f"{_WRONG_PATH} Is its volume mounted?")


def _open(address: Address, *, create: bool) -> Any:
    pymilvus = require("pymilvus", EXTRA)
    path = address.path
    if path is None:
        with translated(address, "connecting"):
            return pymilvus.MilvusClient(
                uri=address.uri, token=address.token, db_name=address.database, timeout=_CONNECT_SECONDS
            )
    manager = require("milvus_lite.server_manager", EXTRA).server_manager_instance
    with _guard:
        foreign = path not in _users and str(path) in manager._servers
        try:
            client = pymilvus.MilvusClient(uri=str(path), timeout=_CONNECT_SECONDS)
        except pymilvus.exceptions.MilvusException as error:
            raise _cannot_open(path) from error
        _users[path] = _users.get(path, 1 if foreign else 0) + 1
    if address.database == DEFAULT_DATABASE:
        return client
    try:
        return _in_database(client, address, create=create)
    except BaseException:
        _leave(path)
        raise
    finally:
        client.close()


def _in_database(client: Any, address: Address, *, create: bool) -> Any:
    """Another client, of Milvus Lite, that sees the database of `address`."""
    with translated(address, "opening the database"):
        there = client.list_databases()
        if address.database not in there:
            if not create:
                raise UnreachableError(
                    f"{address.uri} has no database {address.database}",
                    hint=f"Set db_name to one of: {', '.join(sorted(there))}",
                )
            client.create_database(address.database)
        return type(client)(uri=str(address.path), db_name=address.database, timeout=_CONNECT_SECONDS)


def _leave(path: Path) -> None:
    with _guard:
        _users[path] -= 1
        if not _users[path]:
            del _users[path]
            require("milvus_lite.server_manager", EXTRA).server_manager_instance.release_server(str(path))


def _cannot_open(path: Path) -> UnreachableError:
    if _is_locked(path):
        return UnreachableError(
            f"{path} is in use by another process, and Milvus Lite serves one at a time",
            hint="Stop the application while the backup runs, or run a Milvus server.",
        )
    return UnreachableError(f"{path} cannot be opened as a Milvus Lite database", hint="Is it one, of version 3?")


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _explained(address: Address, doing: str, error: Exception) -> SourceError:
    code = getattr(error, "code", None)
    lines = str(getattr(error, "message", "") or error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    if code == _NO_COLLECTION:
        return InstantMovedError(f"{address.shown}: {doing}: {text}")
    if code == _NOT_LOADED:
        return SourceError(
            f"{address.shown}: {doing}: {text}", hint="Milvus reads loaded collections only: load it, or exclude it."
        )
    if code in _FORBIDDEN or _REFUSAL.search(text):
        return AuthenticationError(
            f"{address.shown}: {doing}: {text}", hint="Check token, and what its account may do."
        )
    if type(error).__name__ in {"MilvusUnavailableException", "ConnectionConfigException"} or callable(code):
        return UnreachableError(
            f"{address.shown} does not answer: {text}", hint="Is the server running, and uri its address?"
        )
    if doing == "connecting":
        return UnreachableError(
            f"{address.shown} cannot be reached: {text}", hint="Is the server running, and uri its address?"
        )
    return SourceError(f"{address.shown}: {doing}: {text}")


def _be_quiet() -> None:
    """The client logs, with a traceback, what it raises as well; the server in this process what it cannot do."""
    for name in ("pymilvus", "milvus_lite", "grpc._server"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

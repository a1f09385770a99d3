"""A directory whose directories are shards of the embedded engine: which there are, and who holds them.

The engine locks a shard's write-ahead log (flock on the directory ``wal``) as long as it is open, and knows no other
lock: shards without such a log can be opened twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drtool.errors import SourceError, UnreachableError
from drtool.sources.extras import require

CONFIG = "edge_config.json"
SEGMENTS = "segments"
_LOG = "wal"
#: What to do where something may not be read.
OWNER = "Run drtool as the user to whom the directory belongs."
#: How long somebody else's lock is waited for (seconds), and how often it is tried.
PATIENCE, _PAUSE = 5.0, 0.05


class HeldError(SourceError):
    """Another process has a shard open."""


def find_shards(directory: Path) -> dict[str, Path]:
    """The shards by name. ``UnreachableError`` where the directory cannot be listed; ``SourceError`` where it is a
    shard itself."""
    try:
        if _is_shard(directory):
            raise SourceError(
                f"{directory} is itself a shard of Qdrant Edge",
                hint=f"Name the directory above it (edge: {directory.parent}) and the shard as a collection:"
                f" collections: [{directory.name}].",
            )
        return {path.name: path for path in sorted(directory.iterdir()) if _is_shard(path)}
    except OSError as error:
        raise UnreachableError(
            f"the directory of shards cannot be read: {error}",
            hint="Check edge in the source's settings, and that this user may read and enter the directory.",
        ) from error


def has_lock(shard: Path) -> bool:
    """Can it be known that nobody has it open?"""
    return (shard / _LOG).is_dir()


@contextlib.contextmanager
def locked(shards: Mapping[str, Path], patience: float = PATIENCE) -> Iterator[None]:
    """Nobody opens these shards meanwhile, as far as they can be locked; all of them are held together.

    ``SourceError`` where another process does not close one for so many seconds.
    """
    with contextlib.ExitStack() as stack:
        until = time.monotonic() + patience
        for name, shard in shards.items():
            if has_lock(shard):
                log = _opened(shard / _LOG, name)
                stack.callback(os.close, log)
                _lock(log, name, shard, until)
                stack.callback(fcntl.flock, log, fcntl.LOCK_UN)  # a child that is just forked may hold the file open
        yield


def is_held(shard: Path) -> bool:
    """Has another process it open just now?"""
    try:
        with locked({shard.name: shard}, patience=0):
            return False
    except HeldError:
        return True


def _opened(log: Path, name: str) -> int:
    try:
        return os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        raise SourceError(
            f"{name}: the shard's log cannot be opened: {error}",
            hint=OWNER,
        ) from error


def _lock(log: int, name: str, shard: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise HeldError(
                    f"{name}: another process has the shard {shard} open",
                    hint="An embedded engine has one owner: let the application close the shard (EdgeShard.close())"
                    " while its directory is copied, or stop it for that long.",
                ) from None
        time.sleep(_PAUSE)


def fingerprint(shard: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file: what shows that somebody wrote."""
    return {
        str(path.relative_to(shard)): (found.st_size, found.st_mtime_ns)
        for path in shard.rglob("*")
        for found in (path.lstat(),)
    }


def engine() -> Any:
    """The package ``qdrant_edge``."""
    return require("qdrant_edge", "qdrant")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """The engine's errors as ``SourceError``. It raises bare ``Exception``, and a panic as a ``BaseException``."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise SourceError(f"{doing}: {error}") from error
        if isinstance(error, OSError):
            raise SourceError(f"{doing}: {error}") from error
        raise


def read_config(shard: Path) -> Mapping[str, Any]:
    """``edge_config.json``."""
    try:
        found = json.loads((shard / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"the configuration of the shard {shard.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(f"the configuration of the shard {shard.name} is not one of Qdrant Edge")
    return found


def _is_shard(path: Path) -> bool:
    return (path / CONFIG).is_file() or (path / SEGMENTS).is_dir()

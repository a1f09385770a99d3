"""The last configuration that ``schedule run`` could use, kept beside the state, so that whom to tell is known when the
file is broken or gone.

It lies in ``STATE_DIR/configurations``, under a name made of the file's path. Where the state directory is not the
default one, what can be read of the broken file says which it is, or else a note in the default one: that is found
without reading the file.

Until ``schedule run`` could use one, the last that a run by hand could use stands in for it: whatever calls
``schedule run`` may lack a variable from the very beginning.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drtool.config.loading import parse_config
from drtool.config.places import find_config, state_home, usual_places
from drtool.config.repository import RepositorySettings
from drtool.config.rescuing import Rescued, rescued, state_dir_in
from drtool.config.root import Config
from drtool.errors import ConfigError, StateError
from drtool.local.locks import leave_to_owner

_FOLDER = "configurations"
_SCHEDULED = "schedule"


@dataclass(frozen=True, slots=True)
class LastGood:
    """What stood in the file at ``path`` when it could be used; ``url`` and ``state_dir`` are the repository's."""

    path: Path
    url: str
    state_dir: Path
    text: str
    owner: int

    @property
    def is_anothers(self) -> bool:
        """Was it kept by somebody whose commands root must not run?"""
        return os.geteuid() == 0 and self.owner != 0

    def read(self) -> Rescued:
        """As a configuration: whole, or, where it cannot be used itself any more, whom it tells."""
        try:
            return Rescued(parse_config(self.text, self.path), ())
        except ConfigError:
            return rescued(self.text, self.path, RepositorySettings(url=self.url, state_dir=self.state_dir))


def keep(config: Config) -> None:
    """Keep a configuration that ``schedule run`` can use, for its owner only; nothing is written where nothing changed.

    ``StateError`` where that cannot be done. The note in the default state directory is left to who may write it:
    `is_found_by_path`.
    """
    _keep(config, _SCHEDULED)
    state_dir, home = config.repository.state_dir, default_dir()
    if home is not None and state_dir != home:
        try:
            _put(_place(home, config.path), {"path": str(config.path), "state_dir": str(state_dir)})
        except OSError:  # a service may be confined to the state directory: doctor looks whether it is there
            return


def keep_by_hand(config: Config) -> None:
    """Keep one that a run by hand could use, unless there is one that ``schedule run`` could; errors as for `keep`."""
    kept, _ = _read(_place(config.repository.state_dir, config.path))
    if kept.get("by") != _SCHEDULED:
        _keep(config, "hand")


def last_good(named: Path | None = None) -> LastGood | None:
    """The last good one of the file that is `named` (else of the usual places), which may be broken or gone; None where
    none is kept."""
    for path in _files(named):
        for state_dir in _state_dirs(path):
            found, owner = _read(_place(state_dir, path))
            if found.keys() >= {"text", "url"}:
                return LastGood(path.absolute(), found["url"], Path(found["state_dir"]), found["text"], owner)
    return None


def is_found_by_path(config: Config) -> bool:
    """Would the last good one be found by the file's path alone, whatever became of the file?"""
    return next(_noted_dirs(config.path), None) == config.repository.state_dir


def default_dir() -> Path | None:
    """The default state directory; None for an account without a home."""
    try:
        return state_home()
    except RuntimeError:
        return None


def _keep(config: Config, by: str) -> None:
    state_dir = config.repository.state_dir
    content = {"path": str(config.path), "url": config.repository.url, "state_dir": str(state_dir), "by": by}
    try:
        _put(_place(state_dir, config.path), {**content, "text": config.text})
    except OSError as error:
        raise StateError(
            f"the configuration cannot be kept in {state_dir}: {error.strerror or error}",
            hint="While it is not, nobody hears of it when the file is broken.",
        ) from error


def _files(named: Path | None) -> tuple[Path, ...]:
    """The file that is there, or else those that may have been."""
    try:
        return (find_config(named),)
    except ConfigError:
        return usual_places(named)


def _state_dirs(path: Path) -> Iterator[Path]:
    """Where it may be kept, the likeliest first: who may not write the note leaves an old one."""
    with suppress(OSError):
        named = state_dir_in(path.read_text("utf-8-sig", errors="replace"), path) if path.is_file() else None
        if named is not None:
            yield named
    yield from _noted_dirs(path)


def _noted_dirs(path: Path) -> Iterator[Path]:
    home = default_dir()
    if home is not None:
        noted, _ = _read(_place(home, path))
        yield Path(noted.get("state_dir", home))


def _place(state_dir: Path, path: Path) -> Path:
    return state_dir / _FOLDER / f"{name_of(path)}.json"


def name_of(path: Path) -> str:
    """What belongs to the configuration at `path` is called so: by its absolute path, in letters that will do for
    anything."""
    return hashlib.sha256(os.fsencode(os.path.normpath(path.absolute()))).hexdigest()[:16]


def _read(place: Path) -> tuple[dict[str, str], int]:
    """What is kept there, empty where that is nothing, and whose it is."""
    try:
        with place.open(encoding="utf-8") as file:
            owner, found = os.fstat(file.fileno()).st_uid, json.load(file)
    except (OSError, ValueError):  # a damaged one is as good as none: the next good one replaces it
        return {}, -1
    is_ours = isinstance(found, dict) and isinstance(found.get("state_dir"), str)
    return (found, owner) if is_ours and all(isinstance(value, str) for value in found.values()) else ({}, -1)


def _put(place: Path, content: dict[str, str]) -> None:
    """Replace it as a whole. It stays whose it is: root would not go by somebody else's."""
    found, owner = _read(place)
    if found == content and (owner == 0 or os.geteuid() != 0):
        return
    _make(place.parent)
    descriptor, name = tempfile.mkstemp(prefix=".", dir=place.parent)  # mode 0600
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _make(directory: Path) -> None:
    if directory.is_dir():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        leave_to_owner(descriptor, directory.parent)
    finally:
        os.close(descriptor)

"""That ``schedule run`` cannot use the configuration, as the ledger has it: for as long as it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drtool.config.masking import mask
from drtool.errors import ConfigError
from drtool.operations.unattended.configuration.keeping import name_of
from drtool.scheduling.ledger import Ledger
from drtool.scheduling.standings import last_tick, tick

_NOTE = "configuration"
#: Longer than the usual time between two calls: one that nobody goes by any more must not be alarming for ever.
_RECENTLY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Broken:
    """``since`` is when it was noticed first, ``used`` when it could be used last; ``problems`` are sentences with
    file, line and key, at least one."""

    since: datetime
    used: datetime | None
    problems: tuple[str, ...]


def broken(ledger: Ledger, path: Path) -> Broken | None:
    """How the configuration at `path` is broken; None where it is not, as far as ``schedule run`` has seen."""
    noted = _noted(ledger).get(name_of(path))
    return None if noted is None else Broken(_at(noted["since"]), _time(noted["used"]), tuple(noted["problems"]))


def is_another_broken(ledger: Ledger, path: Path, at: datetime) -> bool:
    """Is there another than that at `path`, for the same repository, that could not be used a moment ago?"""
    others = [noted for name, noted in _noted(ledger).items() if name != name_of(path)]
    return any(abs(at - _at(noted["seen"])) < _RECENTLY for noted in others)


def note_broken(ledger: Ledger, path: Path, error: ConfigError, at: datetime) -> None:
    """``schedule run`` was called, and cannot use it."""
    before = broken(ledger, path)
    since, used = (at, last_tick(ledger)) if before is None else (min(before.since, at), before.used)
    content = {
        "since": since.timestamp(),
        "seen": at.timestamp(),
        "used": None if used is None else used.timestamp(),
        # The file's name may hold any bytes.
        "problems": mask(error.message).encode("utf-8", "replace").decode().splitlines(),
    }
    ledger.note(_NOTE, {**_noted(ledger), name_of(path): content})
    tick(ledger, at)


def note_good(ledger: Ledger, path: Path) -> None:
    """``schedule run`` can use it."""
    noted = _noted(ledger)
    if noted.pop(name_of(path), None) is not None:
        ledger.note(_NOTE, noted)


def _noted(ledger: Ledger) -> dict[str, dict[str, Any]]:
    return ledger.noted(_NOTE) or {}


def _at(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else _at(stamp)

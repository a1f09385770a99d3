"""Where a restore gathers tables until they are whole: a database of its own inside the target's directory.

LanceDB does not list it. A table moves out of it by one rename, so nobody ever sees half of one. Its name comes from
the restore's marker: that is how an interrupted one recognises its own work.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.sources.lancedb.files import SUFFIX

_PREFIX = ".drtool-restore-"
_NOTE = "restore.json"
_REPLACED = "replaced-"
_WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Staging:
    """The gathering place of one restore."""

    directory: Path

    @classmethod
    def of(cls, database: Path, marker: str) -> Staging:
        """That of the restore with this marker."""
        return cls(database / f"{_PREFIX}{hashlib.sha256(marker.encode()).hexdigest()[:16]}")

    def begin(self, marker: str, names: Sequence[str]) -> None:
        """Start over with nothing but a note of what it is for. Raises ``OSError``."""
        if self.directory.exists():
            shutil.rmtree(self.directory)
        self.directory.mkdir(parents=True, mode=0o700)
        note = json.dumps({"marker": marker, "tables": list(names)})
        (self.directory / _NOTE).write_text(note, encoding="utf-8")
        for name in names:
            self.table(name).mkdir()

    def table(self, name: str) -> Path:
        """Where a table is gathered."""
        return self.directory / f"{name}{SUFFIX}"

    def published(self, name: str) -> bool:
        """Did an attempt that was interrupted give this table its place already? Raises ``OSError``."""
        return (self.directory / _WHOLE).exists() and not self.table(name).exists()

    def whole(self) -> None:
        """From here on tables get their places. Raises ``OSError``."""
        (self.directory / _WHOLE).touch()

    def publish(self, name: str, to: Path) -> None:
        """Give a table its place, instead of what is there. Raises ``OSError``."""
        if to.exists():
            to.rename(self.directory / f"{_REPLACED}{name}")
        self.table(name).rename(to)

    def withdraw(self, name: str, at: Path) -> None:
        """Take back the place that an interrupted attempt gave a table; what it replaced gets it again. Raises
        ``OSError``."""
        if self.published(name) and at.exists():
            at.rename(self.table(name))
        replaced = self.directory / f"{_REPLACED}{name}"
        if (self.directory / _WHOLE).exists() and replaced.exists() and not at.exists():
            replaced.rename(at)

    def end(self) -> None:
        """Remove it, with what was replaced. Raises ``OSError``."""
        # What is left of an interrupted removal must not look like tables that are still to be taken back.
        (self.directory / _WHOLE).unlink()
        (self.directory / _NOTE).unlink()
        shutil.rmtree(self.directory)


def others(database: Path, marker: str) -> Iterator[str]:
    """The tables that restores with another marker have begun and not ended. Raises ``OSError``."""
    own = Staging.of(database, marker).directory
    for place in sorted(database.glob(f"{_PREFIX}*")):
        if place != own and (place / _NOTE).exists():
            yield from json.loads((place / _NOTE).read_text(encoding="utf-8"))["tables"]

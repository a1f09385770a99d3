"""Where and how a contestant is measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drtool.sources.mongodb.server import Server
from tests.bench import measure, workload
from tests.bench.measure import FailedError, Measured

PARTS = {
    "first": "first backup to a directory",
    "second": "second backup, unchanged",
    "restore": "restore with indexes",
    "intact": "verify --level intact",
    "readable": "verify --level readable",
    "restored": "verify --level restored",
}
RESTORED = f"{workload.DATABASE}_restored"
_ROOT = Path(__file__).parents[2]

Part = Callable[[], Measured]


class Contestant(Protocol):
    """Somebody to be measured. ``parts``: one measured run for each part that this one can do."""

    @property
    def name(self) -> str:
        """As the table prints it."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """By the names of `PARTS`."""

    def begin(self) -> None:
        """Make ready for a round, unmeasured: with nothing backed up."""


@dataclass(frozen=True, slots=True)
class Place:
    """A contestant's own directory, and the server that all use; it holds `records` documents."""

    directory: Path
    server: Server
    records: int

    def run(self, *pipeline: Sequence[str | Path], stdout: Path | None = None) -> Measured:
        """Measure a pipeline that runs here."""
        return measure.run(pipeline, cwd=self.directory, env=environment(), server=self.server.pid, stdout=stdout)

    def empty(self) -> None:
        """Remove what the last round left."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)

    def restore(self, restore: Part) -> Measured:
        """Measure `restore`, which makes the database `RESTORED`; that is counted and dropped.

        Raises ``FailedError`` where records or indexes are missing.
        """
        try:
            measured = restore()
            found = workload.count(self.server.uri, RESTORED)
            if found != self.records:
                raise FailedError(f"restored {found} of {self.records} documents")
            return measured
        finally:
            workload.drop(self.server.uri, RESTORED)


def environment() -> Mapping[str, str]:
    """This process's without what would steer the tools, or keep Python from keeping its compiled modules."""
    left_out = ("DRTOOL", "XDG_", "RESTIC_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "PYTHONPATH": str(_ROOT), "RESTIC_PASSWORD": "bench"}

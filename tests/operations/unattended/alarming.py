"""A host whose alerts go somewhere: configuration, ledger and a clock that tests turn, without any repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import ExitCode
from drtool.monitoring.conditions import Condition
from drtool.operations.reporting import Silent
from drtool.operations.unattended.alerting.telling import Told, tell
from drtool.operations.unattended.attending.records import ledger_of
from drtool.scheduling.entries import entries_of
from drtool.scheduling.ledger import Ledger, Outcome, RunRecord, RunState
from drtool.scheduling.standings import acquaint

START = datetime(2026, 8, 3, 0, 0, tzinfo=UTC)
OK = Outcome(RunState.OK, ExitCode.OK)
FAILED = Outcome(RunState.FAILED, ExitCode.FAILED, "unreachable", "app: the server does not answer", "Is it running?")


@dataclass
class Host:
    """``at`` is what its clock shows."""

    directory: Path
    notify: Sequence[Mapping[str, Any]] = ()
    jobs: Mapping[str, Any] = field(default_factory=lambda: {"nightly": {"schedule": "0 2 * * *"}})
    more: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = START
    reporter: Silent = field(default_factory=Silent)
    _read: tuple[Mapping[str, Any], Config] | None = None

    def clock(self) -> datetime:
        """The time."""
        return self.at

    @property
    def config(self) -> Config:
        """The configuration."""
        file = self.directory / "drtool.yaml"
        content = {
            "repository": {"url": str(self.directory / "repo"), "state_dir": str(self.directory / "state")},
            "sources": {"app": {"type": "mongodb", "uri": "mongodb://127.0.0.1:1"}},
            "jobs": {name: {"sources": ["app"], "timezone": "UTC", **job} for name, job in self.jobs.items()},
            "notify": [dict(target) for target in self.notify],
            **self.more,
        }
        if self._read is None or self._read[0] != content:
            file.write_text(yaml.safe_dump(content))
            self._read = content, load_config(file)
        return self._read[1]

    def ledger(self) -> Ledger:
        """The ledger, which has seen the schedules."""
        config = self.config
        ledger = ledger_of(config, self.clock)
        acquaint(ledger, entries_of(config), self.at)
        return ledger

    def run(
        self,
        outcome: Outcome = OK,
        *,
        task: str = "backup",
        job: str = "nightly",
        entry: str | None = None,
        slot: datetime | None = None,
        takes: timedelta = timedelta(minutes=1),
        **figures: Any,
    ) -> RunRecord:
        """A run that begins now and takes so long; the clock shows its end then."""
        with self.ledger() as ledger:
            number = len(ledger.runs())
            record = ledger.begin(f"run{number}", task, job=job, entry=job if entry is None else entry, slot=slot)
            self.at += takes
            ledger.end(record.id, outcome, figures)
        return record

    def tell(self, *also: Condition) -> Told:
        """Tell what is to be told."""
        return tell(self.config, self.reporter, self.clock, also)

    def minutes(self, count: int, step: int = 1) -> None:
        """So many minutes pass, with a look at what is to be told every few."""
        for _ in range(0, count, step):
            self.at += timedelta(minutes=step)
            self.tell()

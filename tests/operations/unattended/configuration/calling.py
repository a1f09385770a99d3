"""A host whose ``schedule run`` is called by a clock that tests turn, whatever its configuration is like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from drtool.config.loading import load_config
from drtool.errors import ConfigError
from drtool.operations.reporting import Silent
from drtool.operations.unattended.configuration.telling import tell_broken
from drtool.operations.unattended.scheduling.children import Call
from tests.monitoring.targets.receiver import Receiver
from tests.operations.unattended.attended_host import AttendedHost
from tests.operations.unattended.living import HandSet
from tests.operations.unattended.pretending import Happening, Stage
from tests.scheduling.samples import at

ALERT = "configuration"


@dataclass(frozen=True)
class NamedHost(AttendedHost):
    """One whose configuration is called otherwise."""

    named: Path

    @property
    def file(self) -> Path:
        """The configuration's path."""
        return self.named


@dataclass
class CalledHost:
    """``nightly`` is due at 02:00 UTC; `ops` hears of it. ``started`` is what was started."""

    host: AttendedHost
    ops: Receiver
    clock: HandSet = field(default_factory=lambda: HandSet(at("20 16:00")))
    reporter: Silent = field(default_factory=Silent)
    happens: Callable[[Call], Happening] = lambda _call: Happening()
    started: list[str] = field(default_factory=list)

    def write(self, **more: Any) -> CalledHost:
        """A configuration that can be used."""
        notify = [{"type": "webhook", "name": "ops", "url": self.ops.url()}, *more.pop("notify", [])]
        metrics = {"textfile": "drtool.prom"}
        self.host.write({"schedule": "0 2 * * *", "timezone": "UTC"}, notify=notify, metrics=metrics, **more)
        return self

    def damage(self) -> None:
        """Somebody mistypes a key."""
        text = self.host.file.read_text()
        self.host.file.write_text(text.replace("schedule:", "scedule:"))

    def call(self, time: str) -> ConfigError | None:
        """Cron calls ``schedule run`` at such a time; the error where the configuration cannot be used."""
        self.clock.time = at(time)
        try:
            config = load_config(self.host.file)
        except ConfigError as error:
            tell_broken(self.host.file, error, self.reporter, self.clock)
            return error
        stage = Stage(config, self.clock, self.happens)
        stage.run_due()
        self.started += stage.calls()
        return None

    def call_every(self, minutes: int, first: str, last: str) -> None:
        """The same, from one time to another."""
        moment = at(first)
        while moment <= at(last):
            self.call(f"{moment:%d %H:%M}")
            moment += timedelta(minutes=minutes)

    def told(self, key: str = ALERT) -> list[str]:
        """What `ops` was told of an alert, in order: ``open``."""
        return [alert["annotations"]["kind"] for alert in self._alerts(key)]

    def last(self) -> dict[str, str]:
        """The texts of what `ops` was told last of this one."""
        texts: dict[str, str] = self._alerts(ALERT)[-1]["annotations"]
        return texts

    def _alerts(self, key: str) -> list[dict[str, Any]]:
        told = [alert for request in self.ops.accepted for alert in request.json["alerts"]]
        return [alert for alert in told if alert["labels"]["alert"] == key]

    def exposed(self) -> dict[str, str]:
        """What Prometheus reads, by name and labels."""
        text = (self.host.directory / "drtool.prom").read_text()
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

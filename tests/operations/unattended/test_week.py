"""A week of one host, by a clock that the test turns: downtime, failures and recovery give exactly these runs, these
messages and these metrics. It is the week in which summer time ends in Berlin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drtool.errors import DrtoolError, UnreachableError
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended, outcome_of
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.attending.turn import Turn
from drtool.operations.unattended.scheduling.children import Call, Ended
from drtool.operations.unattended.scheduling.scheduler import Scheduler
from tests.monitoring.targets.providers import Reply, Request, alertmanager
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.unattended.attended_host import AttendedHost

_BERLIN = ZoneInfo("Europe/Berlin")
_TICK = timedelta(hours=2)


def _berlin(day: int, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=_BERLIN, fold=fold).astimezone(UTC)


@dataclass
class _Week:
    """The host; ``now`` is what its clock says. While it is ``broken`` the database does not answer."""

    host: AttendedHost
    receiver: Receiver
    switch: Receiver
    now: datetime
    broken: bool = False

    def clock(self) -> datetime:
        """The time."""
        return self.now

    def live(self, until: datetime) -> None:
        """Cron calls ``schedule run`` at half past every second hour."""
        while self.now < until:
            tick, config = self.now, self.host.config
            with ledger_of(config, self.clock) as ledger:
                Scheduler(config, ledger, self.clock, _InProcess(self), Silent()).run_due()
            self.now = tick + _TICK

    def sleep(self, until: datetime) -> None:
        """The machine is off."""
        self.now = until

    def runs(self) -> list[tuple[str, datetime | None, timedelta, str]]:
        """Entry, slot, how much later it started, and state of each run, oldest first."""
        return [
            (run.entry, run.slot, run.started - (run.slot or run.started), run.state.value) for run in self.host.runs()
        ]

    def pings(self) -> list[str]:
        """What came after the check's address, without the run's id."""
        return [request.path.partition("?")[0].removeprefix("/ping/nightly") for request in self.switch.accepted]

    def messages(self) -> list[tuple[str, str, str]]:
        """Status, alert and kind of each alert of each message, in order."""
        return [
            (alert["status"], alert["labels"]["alert"], alert["annotations"]["kind"])
            for request in self.receiver.accepted
            for alert in json.loads(request.body)["alerts"]
        ]

    def metrics(self) -> dict[str, float]:
        """The samples of the file that Prometheus reads."""
        text = (self.host.directory / "drtool.prom").read_text()
        return {
            name: float(value) for name, value in re.findall(r"^([a-z][^ ]*(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
        }


@dataclass
class _Done:
    """A command that has ended."""

    remains: Ended

    def ended(self) -> Ended:
        """What is left of it."""
        return self.remains

    def stop(self) -> None:
        """It has."""


@dataclass
class _InProcess:
    """Runs each command at once, as a process would: what it does takes its time by the week's clock."""

    week: _Week

    def start(self, call: Call) -> _Done:
        """Do it."""
        run, week = call.run, self.week
        turn = Turn(run.id, run.entry, run.slot)
        try:
            with attended(week.host.config, run.task, Silent(), job=run.job, turn=turn, clock=week.clock) as attending:
                if run.task == "backup":
                    week.now += timedelta(minutes=20)
                    if week.broken:
                        raise UnreachableError("app: the server does not answer", hint="Is it running?")
                    attending.figures["bytes"] = 1_000_000
                else:
                    week.now += timedelta(minutes=1)
        except DrtoolError as error:
            outcome = outcome_of(error)
            return _Done(Ended(outcome.exit_code, kind=outcome.kind, message=outcome.message, hint=outcome.hint))
        return _Done(Ended(0))

    def wait(self, seconds: float) -> None:
        """Nothing runs on by itself."""


def _taking(request: Request) -> Reply:
    return Reply(200)


@pytest.fixture
def week(tmp_path: Path) -> Iterator[_Week]:
    with receiving(alertmanager) as receiver, receiving(_taking) as switch:
        host = AttendedHost(tmp_path).set_up()
        host.write(
            {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "ping": {"url": switch.url("/ping/nightly")}},
            schedules={"tidy": {"task": "prune", "schedule": "0 5 * * 1,4", "timezone": "Europe/Berlin"}},
            notify=[{"type": "webhook", "url": receiver.url(), "cooldown": "4h"}],
            metrics={"textfile": "drtool.prom"},
        )
        yield _Week(host, receiver, switch, _berlin(19, 0, 30))


@pytest.mark.heavy
def test_a_week(week: _Week) -> None:
    on_time, late = timedelta(0), timedelta(minutes=90)
    backup, failed = 'drtool_last_run_success{job="nightly",stage="backup"}', "failed/backup/nightly"
    week.live(_berlin(21, 0, 30))
    assert week.messages() == [], "two good days"
    assert week.metrics()[backup] == 1

    week.broken = True
    week.live(_berlin(22, 0, 30))
    assert week.metrics()[backup] == 0
    assert week.metrics()['drtool_open_alerts{severity="critical"}'] == 1
    assert week.messages() == [("firing", failed, "open"), *[("firing", failed, "still open")] * 4]

    week.broken = False
    week.live(_berlin(23, 0, 30))
    assert week.messages()[5:] == [("firing", failed, "still open"), ("resolved", failed, "recovered")], "told once"

    week.sleep(_berlin(24, 12, 30))  # over two of its turns
    week.broken = True
    week.live(_berlin(24, 14, 30))
    assert week.messages()[7:] == [("firing", failed, "open")], "that it was made up for did not work"
    week.broken = False
    week.live(_berlin(26, 0, 30))
    assert week.messages()[-1] == ("resolved", failed, "recovered")
    assert [kind for _, _, kind in week.messages()[8:-1]] == ["still open"] * 2

    assert week.runs() == [
        ("nightly", _berlin(19, 2, 30), on_time, "ok"),
        ("tidy", _berlin(19, 5), late, "ok"),
        ("nightly", _berlin(20, 2, 30), on_time, "ok"),
        ("nightly", _berlin(21, 2, 30), on_time, "failed"),
        ("nightly", _berlin(22, 2, 30), on_time, "ok"),
        ("tidy", _berlin(22, 5), late, "ok"),
        ("nightly", _berlin(24, 2, 30), timedelta(hours=10), "failed"),  # one for the two that were missed
        ("nightly", _berlin(25, 2, 30), on_time, "ok"),  # the first of two times that the clocks show 02:30
    ]
    good, bad = ["/start", ""], ["/start", "/1"]
    assert week.pings() == [*good, *good, *bad, *good, *bad, *good]
    found = week.metrics()
    assert found[backup] == 1
    ended = _berlin(25, 2, 50)
    assert found['drtool_last_run_timestamp_seconds{job="nightly",stage="backup"}'] == ended.timestamp()
    assert found['drtool_last_duration_seconds{job="nightly",stage="backup"}'] == 20 * 60
    assert found['drtool_expected_interval_seconds{job="nightly"}'] == 25 * 3600, "to the next one, in winter time"
    assert found['drtool_schedule_missed_runs{schedule="nightly",task="backup"}'] == 0
    next_run = found['drtool_schedule_next_run_timestamp_seconds{schedule="nightly",task="backup"}']
    assert next_run == _berlin(26, 2, 30).timestamp()
    assert found["drtool_scheduler_last_tick_timestamp_seconds"] == _berlin(25, 23, 30).timestamp()
    assert {name: value for name, value in found.items() if name.startswith("drtool_open_alerts")} == {
        f'drtool_open_alerts{{severity="{severity}"}}': 0.0 for severity in ("critical", "info", "warning")
    }

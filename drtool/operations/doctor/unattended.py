"""Does it go by itself: schedules that are installed and called, and people who can be reached?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from drtool.local.clock import Clock, now
from drtool.monitoring.alerting.wording import moment
from drtool.monitoring.targets.reaching import reach, reach_web
from drtool.operations.doctor.findings import Finding, Verdict, tried
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.configuration.keeping import default_dir, is_found_by_path
from drtool.operations.unattended.configuration.noting import broken
from drtool.scheduling.entries import entries_of
from drtool.scheduling.installing.finding import Installation, installed
from drtool.scheduling.ledger import RunState
from drtool.scheduling.standings import last_tick, standings

if TYPE_CHECKING:
    from drtool.config.notify import TargetSettings
    from drtool.config.root import Config
    from drtool.config.timing import Ping

_INSTALL = "Install it with: drtool schedule install --cron (or --systemd, --kubernetes)"
#: Whoever calls it hourly does so within this time, a long backup in between or not.
_SILENT = timedelta(hours=2)
_WELL = (RunState.OK, RunState.RUNNING, RunState.SKIPPED)


def examine_unattended(config: Config, clock: Clock = now) -> Iterator[Finding]:
    """Schedules, whether anything calls them, whether they run, pings and notifications."""
    yield from _scheduled(config)
    if entries_of(config):
        yield from tried("schedule", lambda: _called(config, clock()))
        yield from tried("configuration", lambda: _usable(config))
        yield from tried("runs", lambda: _running(config, clock))
    pings = {name: one.ping for name, one in [*config.jobs.items(), *config.schedules.items()] if one.ping is not None}
    for name, ping in pings.items():
        yield from tried(f"ping of {name}", partial(_ping, name, ping))
    if not config.notify and not pings:
        yield Finding(
            "notifications",
            Verdict.WARNING,
            "nobody is told when a backup fails, or does not happen",
            "Set notify in the configuration, and ping in its jobs for what this host cannot tell: that it is off.",
        )
    for target in config.notify:
        yield from tried(f"notification {target.label}", partial(_target, target))


def _scheduled(config: Config) -> Iterator[Finding]:
    elsewhere = [one.jobs or tuple(config.jobs) for one in config.schedules.values() if one.task == "backup"]
    for name, job in sorted(config.jobs.items()):
        if job.schedule is None and not any(name in jobs for jobs in elsewhere):
            yield Finding(
                f"job {name}",
                Verdict.WARNING,
                "has no schedule: drtool does not notice when no backup is taken",
                f"Set jobs.{name}.schedule, such as '0 2 * * *'.",
            )
        if job.retention is None:
            yield Finding(
                f"job {name}",
                Verdict.WARNING,
                "has no retention: its snapshots are kept for ever",
                f"Set jobs.{name}.retention; drtool retention list shows the policies there are.",
            )


def _called(config: Config, moment: datetime) -> Iterator[Finding]:
    """By whom, and lately?"""
    with ledger_of(config) as ledger:
        last = last_tick(ledger)
    found = installed(config)
    for one in found:
        yield _installation(one)
    if last is not None and timedelta(0) <= moment - last < _SILENT:
        yield Finding("schedule", Verdict.OK, f"drtool schedule run was called at {last.isoformat(timespec='seconds')}")
    elif last is not None:
        about = f"drtool schedule run was last called at {last.isoformat(timespec='seconds')}"
        hint = "It is installed: is the daemon at work, and what does its log say?" if found else _INSTALL
        yield Finding("schedule", Verdict.FAILED, about, hint)
    elif found:
        about = "it is installed, and drtool schedule run has not been called yet"
        yield Finding("schedule", Verdict.WARNING, about, "Look again in some minutes.")
    else:
        # No failure: whoever only restores here has the schedules in the configuration all the same.
        about = "there are schedules, and nothing on this host calls drtool schedule run"
        yield Finding("schedule", Verdict.WARNING, about, _INSTALL)


def _usable(config: Config) -> Iterator[Finding]:
    """By ``schedule run``, whose environment and account may be others? And would somebody hear of it if not?"""
    with ledger_of(config) as ledger:
        found, last = broken(ledger, config.path), last_tick(ledger)
    if found is not None:
        about = (
            f"drtool schedule run has not been able to use it since {moment(found.since)}: {'; '.join(found.problems)}"
        )
        hint = "From here it can be used: is there a variable, or a right, that cron or systemd does not have?"
        yield Finding("configuration", Verdict.FAILED, about, hint)
    if last is not None and not is_found_by_path(config):
        yield Finding(
            "configuration",
            Verdict.WARNING,
            f"{default_dir() or 'an account without a home'} has no note that the state is in"
            f" {config.repository.state_dir}: where the configuration is gone, nobody hears of it",
            "drtool schedule install writes it, called by the same user.",
        )


def _installation(one: Installation) -> Finding:
    check, again = "schedule", "Install it anew: drtool schedule install"
    if not one.names_config:
        return Finding(check, Verdict.FAILED, f"{one.where} calls drtool with another configuration", again)
    if not one.program_exists:
        return Finding(check, Verdict.FAILED, f"{one.where} calls {one.program}, which is not there", again)
    if one.active is False:
        hint = "Start it: systemctl enable --now cron, or the timer's unit."
        return Finding(check, Verdict.FAILED, f"it is installed in {one.where}, but nothing is at work there", hint)
    return Finding(check, Verdict.OK, f"installed in {one.where}")


def _running(config: Config, clock: Clock) -> Iterator[Finding]:
    with ledger_of(config, clock) as ledger:
        found = standings(entries_of(config), ledger, clock())
        dead = {one.running.id for _, one in found if one.running is not None and not ledger.is_alive(one.running)}
    for entry, standing in found:
        check = f"runs of {entry.name}"
        due = standing.next_slot.isoformat(timespec="minutes")
        if standing.paused is not None:
            hint = f"drtool schedule resume {entry.name}"
            yield Finding(check, Verdict.WARNING, f"paused by {standing.paused.who}", hint)
        elif standing.missed:
            missed = f"missed {len(standing.missed)} of its turns"
            yield Finding(check, Verdict.FAILED, missed, f"drtool schedule list tells more; next at {due}")
        elif standing.last_run is not None:
            last = standing.last_run
            is_dead = last.id in dead
            verdict = Verdict.OK if last.state in _WELL and not is_dead else Verdict.FAILED
            state = "its process is gone without a word" if is_dead else last.state
            why = f": {last.message}" if verdict is Verdict.FAILED and last.message else ""
            about = f"the last one, at {last.started.isoformat(timespec='minutes')}: {state}{why}; next at {due}"
            yield Finding(check, verdict, about, last.hint)
        else:
            yield Finding(check, Verdict.OK, f"none so far; the first at {due}")


def _ping(name: str, ping: Ping) -> Iterator[Finding]:
    host = reach_web(ping.url.reveal(), ping.ca_bundle)
    yield Finding(f"ping of {name}", Verdict.OK, f"{host} answers")


def _target(settings: TargetSettings) -> Iterator[Finding]:
    about = f"{settings.type}: {reach(settings)} answers; drtool notify test {settings.label} sends a message"
    yield Finding(f"notification {settings.label}", Verdict.OK, about)

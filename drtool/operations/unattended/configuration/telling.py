"""Telling somebody that the configuration cannot be used, by the last one that could."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from drtool.config.secrets import learn
from drtool.errors import ConfigError, StateError
from drtool.local.clock import Clock, now
from drtool.monitoring.alerting.wording import moment
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.alerting.telling import tell
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.configuration.keeping import LastGood, last_good
from drtool.operations.unattended.configuration.noting import broken, note_broken
from drtool.operations.unattended.scheduling.watching import watch
from drtool.scheduling.ledger import Ledger, unattended_directory


def tell_broken(named: Path | None, error: ConfigError, reporter: Reporter, clock: Clock = now) -> None:
    """``schedule run`` cannot use the configuration that is `named`: those hear of it whom the last good one tells, and
    its metrics say so. Nothing is started by it."""
    kept = last_good(named)
    if kept is None:
        reporter.warn("nobody is told: no configuration is kept here that drtool schedule run could use before")
        return
    if kept.is_anothers:
        reporter.warn(f"nobody is told: the last good configuration is that of the user {kept.owner}, not of root")
        return
    found = kept.read()
    learn(found.config)
    for sentence in found.left_out:
        reporter.warn(sentence)
    try:
        with ledger_of(found.config, clock) as ledger:
            note_broken(ledger, kept.path, error, clock())
            watch(found.config, ledger, reporter, clock)
    except StateError:
        tell(found.config, reporter, clock)


def broken_since(kept: LastGood) -> datetime | None:
    """Since when ``schedule run`` cannot use the file; None where it can, or nobody can tell."""
    directory = unattended_directory(kept.state_dir, kept.url)
    try:
        if not Ledger.is_in(directory):
            return None
        with Ledger(directory) as ledger:
            found = broken(ledger, kept.path)
    except StateError:
        return None
    return None if found is None else found.since


def dated(error: ConfigError, named: Path | None) -> ConfigError:
    """The error with the time since when nothing is started for it, where ``schedule run`` met it, too."""
    kept = last_good(named)
    since = None if kept is None else broken_since(kept)
    if kept is None or since is None:
        return error
    told = f"drtool schedule run has not been able to use {kept.path} since {moment(since)}: nothing is started."
    return ConfigError(error.message, hint=f"{error.hint.rstrip('.')}. {told}" if error.hint else told)

"""Schedules in the configuration: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.loading import parse_config
from drtool.config.root import Config
from drtool.config.timing import ALIASES
from drtool.errors import ConfigError

_BASE = """\
repository: {url: /srv/backups, agent_key: {file: agent.key}}
sources: {app: {type: mongodb, uri: "mongodb://127.0.0.1"}}
jobs:
  nightly: {sources: [app], schedule: "0 2 * * *"}
"""


def _read(text: str) -> Config:
    return parse_config(text, Path("/etc/drtool/drtool.yaml"), {})


def test_aliases_are_written_out() -> None:
    for alias, fields in ALIASES.items():
        config = _read(_BASE.replace("0 2 * * *", alias))
        assert config.jobs["nightly"].schedule == fields


def test_everything_repeated_has_the_same_settings() -> None:
    timing = (
        "timezone: Europe/Berlin, jitter: 5m, max_duration: 4h, catch_up: false,"
        " hooks: {before: [[/usr/bin/true]], timeout: 10s}, ping: {url: {env: HC}}"
    )
    config = _read(
        _BASE.replace('"0 2 * * *"', f'"0 2 * * *", {timing}')
        + f'schedules:\n  archive: {{task: pitr capture, schedule: "*/5 * * * *", sources: [app], {timing}}}\n'
    )
    for one in (config.jobs["nightly"], config.schedules["archive"]):
        assert (one.timezone, one.jitter, one.max_duration, one.catch_up) == ("Europe/Berlin", 300, 14400, False)
        assert one.hooks.before == (("/usr/bin/true",),)
        assert one.ping is not None
    assert "schedules.archive.ping.url" in repr(config.schedules["archive"].ping)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{task: prun, schedule: '@daily'}", "schedules.extra.task: must be one of backup, pitr capture"),
        ("{task: prune}", "schedules.extra.schedule: is required"),
        ("{task: prune, schedule: '@noon'}", "schedules.extra.schedule: must be one of @hourly"),
        ("{task: prune, schedule: '0 0 30 2 *'}", "schedules.extra.schedule: names a day that never comes"),
        ("{task: prune, schedule: '61 * * * *'}", "schedules.extra.schedule: must be a cron expression"),
        ("{task: prune, schedule: '@daily', level: intact}", "level says nothing to prune"),
        ("{task: verify, schedule: '@daily'}", "verify needs a level"),
        ("{task: verify, schedule: '@daily', level: intact, sample: 10%, shares: 7}", "exclude each other"),
        ("{task: copy, schedule: '@daily'}", "copy needs to"),
        ("{task: pitr capture, schedule: '@daily', sources: [ap]}", "no source 'ap'; did you mean 'app'?"),
        ("{task: backup, schedule: '@daily', jobs: [nightly, weekly]}", "schedules.extra.jobs[1]: no job 'weekly'"),
        ("{task: prune, schedule: '@daily', hooks: {befor: []}}", "did you mean 'before'?"),
        ("{task: prune, schedule: '@daily', hooks: {before: [rm]}}", "schedules.extra.hooks.before[0]: must be a list"),
        ("{task: prune, schedule: '@daily', timezone: Mars/Olympus}", "is no time zone"),
    ],
)
def test_what_is_wrong_is_named(entry: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(_BASE + f"schedules:\n  extra: {entry}\n")
    assert complaint in caught.value.message
    assert caught.value.message.startswith("/etc/drtool/drtool.yaml:6: ")


def test_a_schedule_is_not_called_like_a_job() -> None:
    with pytest.raises(ConfigError, match="there is a job of this name"):
        _read(_BASE + "schedules:\n  nightly: {task: prune, schedule: '@daily'}\n")

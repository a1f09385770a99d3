"""The metrics that a row of runs and a look at the repository come to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drtool.config.loading import parse_config
from drtool.config.root import Config
from drtool.monitoring.alerting.store import AlertStore
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import ledger_of
from drtool.operations.unattended.standing.exposing import expose
from drtool.operations.unattended.standing.survey import JobSurvey, LogGap, LogSurvey, Space, Survey, Unanswered
from drtool.operations.unattended.standing.surveying import keep_survey
from drtool.scheduling.entries import entries_of
from drtool.scheduling.ledger import Ledger, RunState
from drtool.scheduling.standings import acquaint, tick
from tests.monitoring.promtool import promtool
from tests.operations.unattended.living import HandSet, put_on_record

_START = datetime(2026, 11, 20, 2, tzinfo=UTC)
_CONFIG = """
repository: {{url: {0}/repo, state_dir: {0}/state, cache_dir: {0}/cache, agent_key: {{file: {0}/agent.key}}}}
sources: {{app: {{type: files, paths: [/srv]}}}}
jobs:
  nightly: {{sources: [app], schedule: "0 2 * * *", timezone: UTC, objectives: {{rpo: 24h}}}}
  by_hand: {{sources: [app]}}
schedules:
  clean: {{task: prune, schedule: "30 4 * * 0", timezone: UTC}}
metrics: {{textfile: {0}/drtool.prom, labels: {{environment: prod}}}}
"""
_JOB = JobSurvey(
    snapshots=14,
    newest="20261120t020500z-aa",
    created=_START + timedelta(minutes=5),
    instant=_START,
    consistency="exact",
    records=10,
    bytes=5000,
    stored_bytes=400,
    level="intact",
    verified_at=_START + timedelta(minutes=7),
    verification_failed=False,
    suspect=False,
    head="00",
    verified={"intact": _START + timedelta(minutes=7), "readable": _START - timedelta(days=3)},
    failing=1,
)
_LOG = LogSurvey(_START, 75.5, (LogGap(_START - timedelta(hours=2), _START - timedelta(hours=1)),), leads_on=False)
_SURVEY = Survey(
    _START + timedelta(minutes=9),
    "00",
    {"nightly": _JOB},
    {"app": _LOG},
    ("something is missing",),
    123456,
    (Space("state", "/", 1, 2),),
)


@pytest.fixture
def clock() -> HandSet:
    return HandSet(_START)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(_CONFIG.format(tmp_path), tmp_path / "drtool.yaml")


@pytest.fixture
def ledger(config: Config, clock: HandSet) -> Iterator[Ledger]:
    with ledger_of(config, clock) as opened:
        yield opened


def _values(config: Config, clock: HandSet) -> dict[str, float]:
    """What is exposed, by name and own labels."""
    assert config.metrics is not None
    reporter = Silent()
    expose(config, reporter, clock)
    assert reporter.warnings == []
    found = {}
    for line in config.metrics.textfile.read_text().splitlines():
        if not line.startswith("#"):
            told, _, value = line.rpartition(" ")
            assert 'environment="prod"' in told
            found[re.sub(r',?environment="prod",?', "", told).replace("{}", "")] = float(value)
    return found


def test_everything_that_is_known_is_told(config: Config, ledger: Ledger, clock: HandSet) -> None:
    acquaint(ledger, entries_of(config), _START - timedelta(days=9))
    keep_survey(ledger, _SURVEY)
    put_on_record(ledger, clock, "one", "backup", RunState.OK, job="nightly", entry="nightly")
    put_on_record(ledger, clock, "two", "prune", RunState.FAILED, entry="clean", message="it broke")
    ledger.pause("clean", None, "root", "")
    tick(ledger, _START)
    with AlertStore(ledger.directory) as alerts:
        alerts.observe([Condition("x", Severity.CRITICAL, "x", "x", _START)], lambda _: False, _START)

    found = _values(config, clock)

    start = _START.timestamp()
    nightly, clean = 'job="nightly"', 'schedule="clean",task="prune"'
    backup = 'schedule="nightly",task="backup"'
    wanted = {
        f'drtool_last_success_timestamp_seconds{{{nightly},stage="backup"}}': start + 600,
        f'drtool_last_success_timestamp_seconds{{{nightly},stage="verify"}}': start - 3 * 86400,
        f'drtool_last_run_timestamp_seconds{{{nightly},stage="backup"}}': start + 600,
        f'drtool_last_run_success{{{nightly},stage="backup"}}': 1,
        f'drtool_last_duration_seconds{{{nightly},stage="backup"}}': 600,
        f"drtool_expected_interval_seconds{{{nightly}}}": 86400,
        f"drtool_objective_rpo_seconds{{{nightly}}}": 86400,
        f"drtool_recovery_point_timestamp_seconds{{{nightly}}}": start,
        f"drtool_snapshots{{{nightly}}}": 14,
        f"drtool_backup_size_bytes{{{nightly}}}": 5000,
        f"drtool_stored_bytes{{{nightly}}}": 400,
        f'drtool_verified_timestamp_seconds{{{nightly},level="intact"}}': start + 420,
        f'drtool_verified_timestamp_seconds{{{nightly},level="readable"}}': start - 3 * 86400,
        f"drtool_verification_failures{{{nightly}}}": 1,
        f"drtool_suspect_snapshots{{{nightly}}}": 0,
        f"drtool_schedule_next_run_timestamp_seconds{{{backup}}}": start + 86400,
        f"drtool_schedule_missed_runs{{{backup}}}": 0,
        f"drtool_schedule_paused{{{backup}}}": 0,
        f"drtool_schedule_last_run_timestamp_seconds{{{clean}}}": start + 1200,
        f"drtool_schedule_last_run_success{{{clean}}}": 0,
        f"drtool_schedule_last_duration_seconds{{{clean}}}": 600,
        f"drtool_schedule_missed_runs{{{clean}}}": 0,
        f"drtool_schedule_paused{{{clean}}}": 1,
        "drtool_scheduler_last_tick_timestamp_seconds": start,
        "drtool_configuration_valid": 1,
        'drtool_pitr_lag_seconds{source="app"}': 75.5,
        'drtool_pitr_archived_timestamp_seconds{source="app"}': start,
        'drtool_pitr_gaps{source="app"}': 1,
        'drtool_pitr_restorable{source="app"}': 0,
        "drtool_repository_reachable": 1,
        "drtool_repository_answered_timestamp_seconds": start + 540,
        "drtool_repository_problems": 1,
        "drtool_repository_size_bytes": 123456,
        'drtool_open_alerts{severity="critical"}': 1,
        'drtool_open_alerts{severity="warning"}': 0,
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert not [name for name in found if "by_hand" in name], "of it nothing is known"
    assert config.metrics is not None
    assert promtool("check", "metrics", stdin=config.metrics.textfile.read_text()).strip() == ""


def test_missed_runs_are_counted_until_one_starts(config: Config, ledger: Ledger, clock: HandSet) -> None:
    acquaint(ledger, entries_of(config), _START - timedelta(days=9))
    put_on_record(ledger, clock, "one", "backup", RunState.OK, job="nightly", entry="nightly")
    counts = []
    for hours in (20, 25, 49):
        clock.time = _START + timedelta(hours=hours)
        counts.append(_values(config, clock)['drtool_schedule_missed_runs{schedule="nightly",task="backup"}'])
    put_on_record(ledger, clock, "two", "backup", RunState.FAILED, job="nightly", entry="nightly")
    counts.append(_values(config, clock)['drtool_schedule_missed_runs{schedule="nightly",task="backup"}'])
    assert counts == [0, 1, 2, 0]


def test_what_was_taken_since_somebody_looked_counts(config: Config, ledger: Ledger, clock: HandSet) -> None:
    """And what is gone from the repository does not, whatever this host has on record."""
    success = 'drtool_last_success_timestamp_seconds{job="nightly",stage="backup"}'
    put_on_record(ledger, clock, "one", "backup", RunState.OK, job="nightly", entry="nightly")
    keep_survey(ledger, Survey(_START))
    assert _values(config, clock)[success] == _START.timestamp() + 600
    keep_survey(ledger, Survey(_START + timedelta(hours=1)))
    assert success not in _values(config, clock)


def test_a_repository_that_never_answered(config: Config, ledger: Ledger, clock: HandSet) -> None:
    assert "drtool_repository_reachable" not in _values(config, clock), "nobody has asked it yet"
    keep_survey(ledger, Survey(None, unanswered=Unanswered(_START, _START, "storage", "no", "")))
    found = _values(config, clock)
    assert found["drtool_repository_reachable"] == 0
    assert "drtool_repository_answered_timestamp_seconds" not in found


def test_a_directory_that_is_not_there_is_a_warning(config: Config, clock: HandSet, tmp_path: Path) -> None:
    assert config.metrics is not None
    settings = config.metrics.model_copy(update={"textfile": tmp_path / "none" / "drtool.prom"})
    reporter = Silent()
    expose(config.model_copy(update={"metrics": settings}), reporter, clock)
    assert len(reporter.warnings) == 1
    assert "Make the directory" in reporter.warnings[0]


def test_without_metrics_in_the_configuration_nothing_is_written(
    config: Config, clock: HandSet, tmp_path: Path
) -> None:
    reporter = Silent()
    expose(config.model_copy(update={"metrics": None}), reporter, clock)
    assert (reporter.warnings, list(tmp_path.iterdir())) == ([], [])

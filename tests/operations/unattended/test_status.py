"""``drtool status`` and ``drtool metrics``, as people, programs and Nagios see them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from drtool.config.loading import load_config
from drtool.monitoring.alerting.store import AlertStore
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.attending.attending import ledger_of
from drtool.scheduling.ledger import Ledger, RunState
from drtool.scheduling.standings import tick
from tests.cli.running import Ended
from tests.monitoring.promtool import promtool
from tests.operations.site import Site, fill
from tests.operations.unattended.living import HandSet, put_on_record
from tests.sources.mongo import Client


@pytest.fixture
def planned(site: Site) -> Site:
    """A host whose job is due at two each night, and which prunes on Sundays."""
    return _with_schedules(site)


def _with_schedules(site: Site) -> Site:
    content = yaml.safe_load(site.config.read_text())
    content["jobs"]["nightly"] |= {"schedule": "0 2 * * *", "timezone": "UTC"}
    content["schedules"] = {"clean": {"task": "prune", "schedule": "30 4 * * 0"}}
    content["metrics"] = {"textfile": str(site.directory / "drtool.prom"), "labels": {"environment": "prod"}}
    site.config.write_text(yaml.safe_dump(content))
    return site


@pytest.fixture
def clock() -> HandSet:
    return HandSet(datetime.now(UTC) - timedelta(hours=5))


@pytest.fixture
def ledger(planned: Site, clock: HandSet) -> Iterator[Ledger]:
    with ledger_of(load_config(planned.config), clock) as opened:
        yield opened


def _lines(ended: Ended, kind: str) -> list[dict[str, Any]]:
    assert ended.code == 0, ended.err
    return [line for line in ended.lines if line["type"] == kind]


def test_before_anything_has_run(planned: Site) -> None:
    ended = planned.drtool("status")
    job = _lines(ended, "job")[0]
    assert (job["job"], job["state"], job["last_success"], job["level"]) == ("nightly", "never", None, None)
    assert ended.result["runs_known"] is False
    assert _lines(ended, "schedule") == []
    told = planned.told("status").out
    assert "nightly has never succeeded" in told
    assert "runs, schedules and alerts are not known here" in told
    assert not (planned.directory / "state" / "unattended").exists(), "whoever only looks leaves nothing"


def test_after_a_backup(planned: Site, client: Client, database: str) -> None:
    fill(client, database)
    taken = planned.backup()
    planned.ok("verify", "--level", "intact")
    ended = planned.drtool("status")
    job = _lines(ended, "job")[0]
    assert (job["state"], job["overdue"], job["error"], job["missed"]) == ("ok", None, None, 0)
    assert (job["snapshot"], job["head"], job["snapshots"]) == (taken["snapshot"], taken["head"], 1)
    assert (job["level"], job["consistency"], job["pitr_lag"]) == ("intact", "exact", None)
    assert job["last_run"]["state"] == "ok"
    assert datetime.fromisoformat(job["next_run"]) > datetime.fromisoformat(job["last_success"])
    clean = _lines(ended, "schedule")[0]
    assert (clean["schedule"], clean["task"], clean["state"], clean["why"]) == ("clean", "prune", "never", "")
    assert {line["place"] for line in _lines(ended, "space")} == {"repository", "state", "cache"}
    assert ended.result["repository"]["reachable"] is True
    told = planned.told("status").out
    assert "intact" in told
    assert "no alert is open" in told
    assert "has never succeeded" not in told, "its first Sunday is still to come"


def test_what_failed_is_told_with_its_reason_and_what_did_not_happen_too(
    planned: Site, client: Client, database: str, ledger: Ledger, clock: HandSet
) -> None:
    fill(client, database)
    planned.backup()
    clock.time = datetime.now(UTC) + timedelta(seconds=1)
    put_on_record(
        ledger, clock, "bad", "backup", RunState.FAILED, job="nightly", entry="nightly", message="the disk is | gone"
    )
    ledger.pause("clean", None, "root", "holidays")
    with AlertStore(ledger.directory) as alerts:
        alerts.observe([Condition("k", Severity.WARNING, "Mind the gap", "x", clock())], lambda _: False, clock())
    ended = planned.drtool("status")
    job = _lines(ended, "job")[0]
    assert job["state"] == "failed"
    assert job["error"] == {"kind": "storage", "message": "the disk is | gone", "hint": ""}
    assert [line["alert"] for line in _lines(ended, "alert")] == ["k"]
    told = planned.told("status").out
    assert "nightly failed" in told
    assert "the disk is | gone" in told
    assert "clean was paused" in told
    assert "holidays" in told
    assert "1 open alert" in told
    assert "Mind the gap" in told
    nagios = planned.told("status", "--nagios")
    assert nagios.code == 1
    assert len(nagios.out.splitlines()) == 1
    assert nagios.out.startswith("DRTOOL WARNING - ")
    assert nagios.out.count("|") == 1, "a bar in a message would begin the figures"


def test_while_nothing_answers_the_last_look_is_shown_with_its_age(
    planned: Site, client: Client, database: str
) -> None:
    fill(client, database)
    taken = planned.backup()
    planned.store.rename(planned.store.parent / "away")
    ended = planned.drtool("status")
    assert _lines(ended, "job")[0]["snapshot"] == taken["snapshot"]
    repository = ended.result["repository"]
    assert repository["reachable"] is False
    assert repository["answered_at"] is not None
    assert repository["unanswered"]["kind"] == "repository-missing"
    assert "could not be asked" in planned.told("status").out
    assert "the repository cannot be asked" in planned.told("status", "--nagios").out


def test_nothing_known_is_not_taken_for_never(planned: Site) -> None:
    planned.store.rename(planned.store.parent / "away")
    told = planned.told("status").out
    assert "nightly is not known: neither the repository nor this host's record" in told
    assert "never" not in told.lower()


def test_another_host_knows_the_snapshots_but_not_the_runs(planned: Site, client: Client, database: str) -> None:
    fill(client, database)
    taken = planned.backup()
    ended = _with_schedules(planned.elsewhere("other")).drtool("status")
    job = _lines(ended, "job")[0]
    assert (job["state"], job["snapshot"], job["last_run"]) == ("ok", taken["snapshot"], None)
    assert ended.result["runs_known"] is False


def test_nagios_is_told_how_long_nobody_has_called_the_scheduler(planned: Site) -> None:
    with ledger_of(load_config(planned.config)) as ledger:
        tick(ledger, datetime.now(UTC) - timedelta(hours=3))
    silent = planned.told("status", "--nagios")
    assert silent.code == 2
    assert silent.out.startswith("DRTOOL CRITICAL - ")
    assert "drtool schedule run was last called 3 h" in silent.out


def test_nagios_is_told_where_nothing_can_be_told(planned: Site) -> None:
    planned.config.write_text("jobs: 7\n")
    ended = planned.told("status", "--nagios")
    assert (ended.code, ended.err) == (3, "")
    assert ended.out.startswith("DRTOOL UNKNOWN - ")
    assert len(ended.out.splitlines()) == 1
    told = planned.drtool("status", "--nagios")
    assert (told.code, told.result["check"]) == (3, "unknown")
    assert planned.told("status").code == 2


def test_a_state_that_cannot_be_written_is_told_and_keeps_nothing_from_being_shown(
    planned: Site, client: Client, database: str
) -> None:
    fill(client, database)
    planned.backup()
    (directory,) = (planned.directory / "state" / "unattended").iterdir()
    (directory / "runs.sqlite").write_bytes(b"this is no database" * 100)
    for suffix in ("-wal", "-shm"):
        Path(f"{directory / 'runs.sqlite'}{suffix}").unlink(missing_ok=True)
    ended = planned.drtool("status")
    assert _lines(ended, "job")[0]["state"] == "ok", "as the repository knows"
    assert "cannot be used" in ended.result["problems"][0]


def test_alerts_that_cannot_be_read_are_told_and_not_taken_for_none(planned: Site, ledger: Ledger) -> None:
    (ledger.directory / "alerts.sqlite").write_bytes(b"this is no database" * 100)
    ended = planned.drtool("status")
    assert ended.code == 0
    assert "alerts.sqlite cannot be used" in ended.result["problems"][0]
    assert "drtool_open_alerts" not in planned.told("metrics").out


def test_metrics_are_printed_written_and_left_by_each_run(planned: Site, client: Client, database: str) -> None:
    fill(client, database)
    planned.backup()
    left = (planned.directory / "drtool.prom").read_text()
    assert 'drtool_last_run_success{environment="prod",job="nightly",stage="backup"} 1' in left
    printed = planned.told("metrics").out
    assert promtool("check", "metrics", stdin=printed).strip() == ""
    assert 'drtool_snapshots{environment="prod",job="nightly"} 1' in printed
    assert planned.ok("metrics")[-1]["metrics"].startswith("# HELP drtool_build_info")
    target = planned.directory / "own.prom"
    planned.ok("metrics", "--textfile", str(target))
    assert 'job="nightly"' in target.read_text()


def test_rules_and_dashboard_are_printed_without_a_configuration(planned: Site) -> None:
    planned.config.unlink()
    rules = yaml.safe_load(planned.told("metrics", "--rules").out)
    assert rules["groups"][0]["rules"]
    assert json.loads(planned.told("metrics", "--dashboard").out)["title"] == "drtool"
    assert planned.told("metrics", "--rules", "--dashboard").code == 2
    assert planned.told("metrics", "--textfile", os.devnull, "--rules").code == 2

"""What a command leaves in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drtool.cli.logged import CommandLog, LoggedReporter
from drtool.config.log import LogSettings
from drtool.errors import ExitCode
from drtool.monitoring.logs.lines import Level
from drtool.operations.reporting import Silent


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_beginning_remarks_and_end(tmp_path: Path) -> None:
    log = CommandLog(LogSettings(file=tmp_path / "log"), "backup", ["backup", "--to", "redis://:word@h"])
    shown = Silent()
    reporter = LoggedReporter(shown, lambda: log)
    reporter.start("Reading", 10)
    reporter.advance("Reading", 10)
    reporter.finish("Reading")
    reporter.note("a note")
    reporter.warn("a warning")
    log.end(ExitCode.PARTIAL)
    found = lines(tmp_path / "log")
    assert [(line["level"], line["message"].partition(" after")[0]) for line in found] == [
        ("info", "backup begins"),
        ("info", "a note"),
        ("warning", "a warning"),
        ("info", "backup ended with exit code 3"),
    ]
    assert found[0]["arguments"] == ["backup", "--to", "redis://:***@h"]
    assert {line["run"] for line in found} == {log.run}
    assert shown.warnings == ["a warning"]


def test_what_is_called_each_minute_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    settings = LogSettings(file=tmp_path / "log")
    CommandLog(settings, "schedule run", []).end(ExitCode.OK)
    assert lines(tmp_path / "log") == []
    log = CommandLog(settings, "schedule run", [])
    log.add(Level.WARNING, "the clock was put back")
    log.end(ExitCode.OK)
    assert [line["message"].partition(" after")[0] for line in lines(tmp_path / "log")] == [
        "schedule run begins",
        "the clock was put back",
        "schedule run ended with exit code 0",
    ]


def test_before_there_is_a_log(tmp_path: Path) -> None:
    shown = Silent()
    LoggedReporter(shown, lambda: None).warn("early")
    assert shown.warnings == ["early"]

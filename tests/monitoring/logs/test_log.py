"""The log: levels, forms, the run's id, no secrets, and a disk that is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.log import LogSettings
from drtool.config.masking import MASKER
from drtool.monitoring.logs.lines import Level, Line, as_json, as_text
from drtool.monitoring.logs.log import current_run, of_run, open_log
from tests.config.samples import VALID, problems, read

AT = datetime(2026, 11, 22, 2, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    MASKER.start_over({})
    yield
    MASKER.start_over({})


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_of_a_run_carry_its_id(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    log = open_log(LogSettings(file=path), "backup", "outer", pytest.fail)
    log.add(Level.INFO, "before")
    with of_run("inner"):
        assert current_run() == "inner"
        log.add(Level.WARNING, "within", exit_code=3)
    log.close()
    log.add(Level.INFO, "after the end")
    first, second = written(path)
    assert (first["run"], first["level"], first["message"], first["command"]) == ("outer", "info", "before", "backup")
    assert (second["run"], second["level"], second["exit_code"]) == ("inner", "warning", 3)
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert current_run() == ""


def test_less_than_the_level_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    log = open_log(LogSettings(file=path, level="warning"), "", "", pytest.fail)
    for level in Level:
        log.add(level, level.label)
    assert [line["message"] for line in written(path)] == ["warning", "error"]


def test_secrets_are_masked_in_messages_and_fields(tmp_path: Path) -> None:
    MASKER.add("hunter22")
    path = tmp_path / "drtool.log"
    open_log(LogSettings(file=path), "", "", pytest.fail).add(Level.INFO, "a hunter22", arguments=["--x=hunter22"])
    [line] = written(path)
    assert (line["message"], line["arguments"]) == ("a ***", ["--x=***"])


def test_a_full_disk_is_told_once() -> None:
    said: list[str] = []
    log = open_log(LogSettings(file=Path("/dev/full")), "", "", said.append)
    for _ in range(3):
        log.add(Level.INFO, "text")
    assert said == ["cannot write the log to /dev/full: No space left on device"]


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_a_line_is_one_line(message: str, fields: dict[str, Any]) -> None:
    line = Line(AT, Level.INFO, message, "backup", "run-1", fields)
    assert json.loads(as_json(line))["message"] == message
    assert as_json(line).splitlines() == [as_json(line)]
    assert as_text(line).splitlines() == [as_text(line)]


def test_text_for_people() -> None:
    line = Line(
        AT, Level.ERROR, "it failed:\n\x1b[31mred", "backup", "run-1", {"exit_code": 1, "hint": "", "kind": "x"}
    )
    expected = '2026-11-22T02:00:00.123+00:00 error   run-1 backup: it failed:\\n\\x1b[31mred exit_code=1 kind="x"'
    assert as_text(line) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("log: {fiel: x}", "unknown key; did you mean 'file'?"),
        ("log: {level: debug}", "should be 'info', 'warning' or 'error'"),
        ("log: {max_size: 1 KB}", "must be at least 10 KB"),
        ("log: {keep: yes}", "must be a whole number"),
    ],
)
def test_settings_that_make_no_sense(text: str, problem: str) -> None:
    [found] = problems(f"{VALID}{text}\n")
    assert problem.lower() in found.lower()


def test_settings() -> None:
    settings = read(
        f"{VALID}log: {{file: log/drtool.log, max_size: 1 MB, keep: 2, format: text, journald: true}}\n"
    ).log
    assert settings.file == Path("/etc/drtool/log/drtool.log")
    assert (settings.max_size, settings.keep, settings.format, settings.journald) == (1_000_000, 2, "text", True)

"""SIGINT, SIGTERM and SIGHUP, sent to a real process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.cli.running import HIDDEN, ROOT, command, environment, hidden
from tests.cli.terminals import read_until, terminal


@contextmanager
def waiting(*options: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A process that waits for signals, with its standard error; killed at the end whatever happens."""
    process = subprocess.Popen(
        [*prefix, *command("wait", *options, module=HIDDEN)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        yield process, process.stderr
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_ends_in_order(number: signal.Signals) -> None:
    with waiting("--json") as (process, _):
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[:2] == ["cleaning up", f"error: stopped by {number.name}"]
    [line] = out.splitlines()
    result = json.loads(line)
    assert (result["type"], result["ok"], result["exit_code"]) == ("result", False, 130)
    assert result["error"]["kind"] == "interrupted-run"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_ends_at_once(number: signal.Signals) -> None:
    with waiting("--linger") as (process, err):
        process.send_signal(signal.SIGINT)
        assert err.readline() == "cleaning up\n"
        process.send_signal(number)
        assert process.wait(60) == -number


def test_a_signal_that_another_thread_receives() -> None:
    ended = hidden("elsewhere")
    assert (ended.code, ended.err.splitlines()[0]) == (130, "error: stopped by SIGTERM")


def test_a_terminal_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, screen):
        process = subprocess.Popen(
            command("read", module=HIDDEN), cwd=ROOT, env=environment({"TERM": "xterm"}), stderr=stream
        )
        try:
            read_until(screen, "Reading app")
            process.send_signal(signal.SIGTERM)
            before, _, after = read_until(screen, "error: stopped by SIGTERM").partition("error: ")
            assert "\x1b[?25h" in before  # the cursor is shown again
            assert "Reading app" not in after
            assert process.wait(60) == 130
        finally:
            process.kill()
            process.wait()


def test_ignored_stays_ignored() -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with waiting(prefix=(sys.executable, "-c", ignoring)) as (process, err):
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert err.readline() == "cleaning up\n"
        assert err.readline() == "error: stopped by SIGTERM\n"
        assert process.wait(60) == 130

"""Every kind of failure: exit code, words on standard error, and the JSON result."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from drtool.cli.failures import explain
from drtool.errors import InterruptedRunError
from tests.cli.running import HIDDEN, ROOT, command, drtool, environment, hidden

USAGE = [
    (["bakup"], "", "no command 'bakup'"),
    (["confg"], "", "no command 'confg'; did you mean 'config'?"),
    (["config", "chek"], "config", "no command 'chek'; did you mean 'check'?"),
    (["--nope"], "", "no such option '--nope'"),
    (["config", "check", "--nope"], "config check", "no such option '--nope'"),
    (["config", "check", "extra"], "config check", "got unexpected extra argument (extra)"),
    (["config", "check", "--config"], "config check", "option '--config' requires an argument"),
]


@pytest.mark.parametrize(("arguments", "name", "message"), USAGE)
def test_usage(arguments: list[str], name: str, message: str) -> None:
    ended = drtool(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {message}")
    assert "\nhint: See: drtool " in ended.err
    for line in (["--json", *arguments], [*arguments[:-1], "--json", arguments[-1]]):
        result = drtool(*line).result
        assert result["exit_code"] == 2
        assert result["command"] == name
        assert result["error"]["kind"] == "usage"
        assert result["error"]["message"].startswith(message)


def test_error_on_purpose() -> None:
    ended = hidden("refuse", "-v")
    assert (ended.code, ended.out) == (20, "")
    assert ended.err == "error: the target holds data\nhint: Choose another.\n"
    assert hidden("refuse", "--json").result["error"] == {
        "kind": "refused",
        "message": "the target holds data",
        "hint": "Choose another.",
    }


def test_failure_after_a_part_keeps_the_fields_of_the_result() -> None:
    ended = hidden("half", "--json")
    assert ended.lines[0] == {"type": "piece", "piece": "a"}
    assert ended.result["pieces"] == ["a"]
    assert ended.result["error"]["kind"] == "partial"
    assert hidden("half").out == "piece a\n"
    assert ended.code == 3


def test_bug() -> None:
    ended = hidden("boom")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 2
    assert ended.err.startswith("error: this is a bug in drtool: KeyError: 'no such")
    verbose = hidden("boom", "-v")
    assert verbose.err.startswith("Traceback ")
    assert "tests/cli/hidden.py" in verbose.err
    assert "\x1b" not in verbose.err
    result = hidden("boom", "--json").result
    assert result["error"]["kind"] == "internal"
    assert "KeyError" in result["error"]["message"]


def test_bug_in_the_result_itself() -> None:
    result = hidden("unprintable", "--json").result
    assert result["exit_code"] == 1
    assert "TypeError" in result["error"]["message"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_reader_that_leaves(options: list[str]) -> None:
    with subprocess.Popen(
        command("flood", *options, module=HIDDEN),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_behind_standard_output(options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("half", *options, module=HIDDEN),
            cwd=ROOT,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize(("name", "hint"), [("backup", "is reused"), ("restore", "begins it anew"), ("verify", "")])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedRunError("interrupted while waiting")])
def test_hint_after_an_interruption_fits_the_command(error: BaseException, name: str, hint: str) -> None:
    failure = explain(error, name)
    assert (failure.exit_code, failure.kind) == (130, "interrupted-run")
    assert hint in failure.hint
    assert bool(failure.hint) is bool(hint)


def test_no_configuration(tmp_path: Path) -> None:
    ended = drtool("config", "check", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert ended.code == 2
    assert "error: there is no configuration: looked for ./drtool.yaml, " in ended.err
    assert "hint: Make one with: drtool init" in ended.err


def test_an_encoding_without_the_characters() -> None:
    ended = drtool("echo", "--word", "naïve", env={"PYTHONIOENCODING": "ascii"}, module=HIDDEN)
    assert ended.code == 0
    assert "na\\xefve" in ended.out

"""Help: what it costs, and that each command has one with an example."""

from __future__ import annotations

import importlib

import click
import pytest

from drtool import __version__
from drtool.cli.command import Command
from drtool.cli.table import ENTRIES, GROUPS
from tests.cli.running import drtool, imported

SLOW = ("boto3", "botocore", "pymongo", "bson", "pydantic", "rich", "cryptography", "yaml", "croniter", "zstandard")


@pytest.mark.parametrize("arguments", [["--help"], ["config", "--help"], ["--version"], ["confg"]])
def test_imports_nothing_slow(arguments: list[str]) -> None:
    modules = imported(*arguments)
    assert "drtool.cli.main" in modules
    assert not modules & set(SLOW)
    assert not modules & {entry.module for entry in ENTRIES}


def test_lists_all_commands() -> None:
    ended = drtool("--help")
    assert ended.code == 0
    assert ended.err == ""
    for entry in ENTRIES:
        assert f"\n  {entry.name.partition(' ')[0]} " in ended.out
    assert "_DRTOOL_COMPLETE=zsh_source" in ended.out


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_command(entry: object) -> None:
    assert entry in ENTRIES
    [found] = [each for each in ENTRIES if each is entry]
    command = importlib.import_module(found.module).command
    assert isinstance(command, Command)
    assert command.help is not None
    assert command.help.split(".\n")[0].removesuffix(".").replace("\n", " ") == found.help
    assert f"drtool {found.name}" in command.example
    assert not found.name.count(" ") or found.name.rpartition(" ")[0] in GROUPS
    shown = drtool(*found.name.split(), "--help").out
    assert "\nExample:\n" in shown
    for line in command.example.strip().splitlines():
        assert f"\n  {line}\n" in shown
    assert "Global options, before or after the command:" in shown


def test_every_group_has_commands() -> None:
    assert {entry.name.rpartition(" ")[0] for entry in ENTRIES} >= GROUPS.keys()


def test_version() -> None:
    assert drtool("--version").out == f"drtool {__version__}\n"
    assert drtool("--version", "--json").result["version"] == __version__


def test_nothing_asked() -> None:
    ended = drtool()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: drtool ")
    assert drtool("config", "--json").result["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [("drtool con", 1, "config"), ("drtool config ", 2, "check"), ("drtool config check --js", 3, "--json")],
)
def test_completion(words: str, position: int, expected: str) -> None:
    ended = drtool(env={"_DRTOOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)})
    assert expected in [line.rpartition(",")[2] for line in ended.out.splitlines()]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_script(shell: str) -> None:
    assert "_DRTOOL_COMPLETE" in drtool(env={"_DRTOOL_COMPLETE": f"{shell}_source"}).out


def test_click_is_not_bypassed() -> None:
    assert isinstance(importlib.import_module("drtool.cli.main").cli, click.Group)

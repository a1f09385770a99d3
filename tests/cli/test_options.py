"""Global options stand anywhere, and mean the same everywhere."""

from __future__ import annotations

import itertools

import pytest

from tests.cli.running import drtool, hidden


@pytest.mark.parametrize("before", [[], ["--json"], ["--config", "a.yaml"], ["-v", "--json"]])
@pytest.mark.parametrize("after", [[], ["--json", "-vv"], ["--config", "b.yaml", "--json"]])
def test_before_and_after(before: list[str], after: list[str]) -> None:
    both = [*before, *after]
    ended = hidden(*before, "echo", *after)
    assert ended.code == 0
    if "--json" not in both:
        assert ended.out.startswith("{'config': ")
        return
    configs = [value for option, value in itertools.pairwise(both) if option == "--config"]
    assert ended.result["config"] == (configs[-1] if configs else None)
    assert ended.result["verbosity"] == sum({"-v": 1, "-vv": 2}.get(option, 0) for option in both)
    assert ended.result["command"] == "echo"


@pytest.mark.parametrize(
    "line", ["--json config check", "config --json check", "config check --json", "config check --json -q --config x"]
)
def test_in_nested_commands(line: str) -> None:
    result = drtool(*line.split(), env={"HOME": "/nonexistent"}).result
    assert result["command"] == "config check"
    assert result["error"]["kind"] == "config"


def test_after_two_dashes_it_is_an_argument() -> None:
    ended = hidden("echo", "--", "--json")
    assert "'rest': ('--json',)" in ended.out


def test_quiet_and_verbose_balance() -> None:
    assert hidden("-q", "echo", "-q", "--json").result["verbosity"] == -2

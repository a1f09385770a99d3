"""Text and JSON lines."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.cli.jsonlines import encode
from drtool.cli.options import GlobalOptions
from drtool.cli.output import Output, printable
from drtool.errors import ExitCode


class Level(StrEnum):
    """Text."""

    GOOD = "good"


class Number(IntEnum):
    """Number."""

    TWO = 2


class Pair(Enum):
    """Neither."""

    AB = ("a", "b")


@dataclass(frozen=True, slots=True)
class Point:
    """A data class that holds what needs converting."""

    when: datetime
    where: Path


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (WHEN, "2026-01-02T03:04:05+00:00"),
        (WHEN.astimezone(timezone(timedelta(hours=2))), "2026-01-02T05:04:05+02:00"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (Path("/a/b"), "/a/b"),
        (Level.GOOD, "good"),
        (Number.TWO, 2),
        (Pair.AB, ["a", "b"]),
        (Point(WHEN, Path("x")), {"when": "2026-01-02T03:04:05+00:00", "where": "x"}),
        (MappingProxyType({"a": (1, 2)}), {"a": [1, 2]}),
        (frozenset({"b", "a"}), ["a", "b"]),
    ],
)
def test_values(value: object, expected: object) -> None:
    assert json.loads(encode({"value": value})) == {"value": expected}


@pytest.mark.parametrize("value", [object(), b"bytes", datetime(2026, 1, 1), float("nan"), Point])
def test_no_values(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"value": value})


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
def test_one_ascii_line(fields: dict[str, Any]) -> None:
    line = encode(fields)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == fields


def make(*, json_mode: bool) -> tuple[Output, io.StringIO]:
    """An output into memory."""
    stream = io.StringIO()
    return Output(GlobalOptions(json=json_mode, command="show"), stream), stream


def use(output: Output) -> None:
    """What a command does."""
    output.line("row", value=1)
    output.text("a text")
    output.ok("all is well")
    output.table(("NAME", "SIZE"), [("app", 7), ("[red]b[/red]", 123)], right=["SIZE"])
    output.result(rows=2)
    output.finish(ExitCode.OK)
    output.finish(ExitCode.OK)


def test_json_mode() -> None:
    output, stream = make(json_mode=True)
    use(output)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"type": "row", "value": 1},
        {"type": "result", "command": "show", "ok": True, "exit_code": 0, "rows": 2},
    ]


def test_text_mode() -> None:
    output, stream = make(json_mode=False)
    use(output)
    assert stream.getvalue().splitlines() == [
        "a text",
        "✓ all is well",
        "NAME          SIZE",
        "app              7",
        "[red]b[/red]   123",
    ]


def test_wide_tables_are_not_wrapped_without_a_terminal() -> None:
    output, stream = make(json_mode=False)
    output.table(("NAME",), [("x" * 500 + " " + "y" * 500,)])
    assert stream.getvalue() == "NAME\n" + "x" * 500 + " " + "y" * 500 + "\n"


def test_reserved_fields() -> None:
    output, _ = make(json_mode=True)
    for field in ("type", "command", "ok", "exit_code", "error"):
        with pytest.raises(ValueError, match=field):
            output.result(**{field: 1})
    with pytest.raises(ValueError, match="result line"):
        output.line("result")


@given(st.text())
def test_printable_cannot_steer_a_terminal(text: str) -> None:
    assert not any(
        ord(character) < 32 or 127 <= ord(character) < 160 for character in printable(text) if character not in "\t\n"
    )
    assert len(printable(text)) == len(text)

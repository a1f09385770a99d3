"""Tables at any width."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.cli.options import GlobalOptions
from drtool.cli.output import Output
from drtool.cli.tables import lay_out
from tests.cli.terminals import read_until, terminal

WORDS = st.text(st.sampled_from("ab c"), max_size=30)
TABLES = st.integers(1, 4).flatmap(
    lambda columns: st.lists(st.lists(WORDS, min_size=columns, max_size=columns), min_size=1, max_size=5)
)


@given(TABLES, st.integers(1, 80))
def test_lines_fit_and_lose_nothing(rows: Sequence[Sequence[str]], width: int) -> None:
    columns = [f"C{number}" for number in range(len(rows[0]))]
    head, body = lay_out(columns, rows, {"C1"}, width)
    least = len(columns) + 2 * (len(columns) - 1)
    assert all(len(line) <= max(width, least) for line in [*head, *body])
    shown = sorted("".join(body).replace(" ", ""))
    assert shown == sorted("".join("".join(row) for row in rows).replace(" ", ""))


@given(TABLES)
def test_without_a_width_each_row_is_a_line(rows: Sequence[Sequence[str]]) -> None:
    columns = [f"C{number}" for number in range(len(rows[0]))]
    head, body = lay_out(columns, rows, set(), None)
    assert len(head) == 1
    assert len(body) == len(rows)


def test_the_widest_column_gives_way() -> None:
    head, body = lay_out(("ID", "REASON"), [("1", "kept for a week"), ("22", "x" * 12)], {"ID"}, 14)
    assert head == ["ID  REASON"]
    assert body == [" 1  kept for a", "    week", "22  " + "x" * 10, "    " + "x" * 2]


def test_wide_and_combining_characters_count_as_shown() -> None:
    _, body = lay_out(("NAME", "N"), [("数据", "1"), ("e\u0301te\u0301", "2"), ("data", "3")], {"N"}, None)
    assert body == ["数据  1", "e\u0301te\u0301   2", "data  3"]


def test_lines_in_a_cell_stand_below_each_other() -> None:
    _, body = lay_out(("A", "B"), [("one\ntwo", "x")], set(), None)
    assert body == ["one  x", "two"]


def test_a_terminal_gets_a_bold_head_and_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, descriptor):
        monkeypatch.setenv("COLUMNS", "20")
        monkeypatch.delenv("NO_COLOR", raising=False)
        output = Output(GlobalOptions(), stream)
        output.table(("NAME",), [("word " * 6,)])
        output.ok("done")
        shown = read_until(descriptor, "done\x1b[0m")
    lines = shown.replace("\r", "").splitlines()
    assert lines == ["\x1b[1mNAME\x1b[0m", "word word word word", "word word", "\x1b[32m✓ done\x1b[0m"]


def test_a_plain_terminal_gets_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, descriptor):
        monkeypatch.setenv("TERM", "dumb")
        output = Output(GlobalOptions(), stream)
        output.ok("done")
        assert read_until(descriptor, "done").strip() == "✓ done"

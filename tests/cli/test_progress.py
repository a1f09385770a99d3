"""Progress and remarks, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from drtool.cli.progress import Remarks, make_reporter
from drtool.cli.progress_bars import BarReporter
from drtool.cli.progress_lines import LineReporter
from drtool.cli.units import duration, size
from drtool.operations.reporting import Reporter
from tests.cli.running import hidden
from tests.cli.terminals import read_until, terminal


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Closed(io.StringIO):
    """A log that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_lines_at_most_every_ten_seconds() -> None:
    log, clock = io.StringIO(), Clock()
    reporter = LineReporter(log, clock)
    reporter.start("Reading app", 4_000_000_000)
    for _ in range(25):
        clock.now += 1
        reporter.advance("Reading app", 10_000_000, records=50)
    assert log.getvalue().splitlines() == [
        "Reading app: 100.0 MB of 4.0 GB, 500 records, 10.0 MB/s, 6 min 30 s left",
        "Reading app: 200.0 MB of 4.0 GB, 1,000 records, 10.0 MB/s, 6 min 20 s left",
    ]


def test_rate_is_the_recent_one() -> None:
    log, clock = io.StringIO(), Clock()
    reporter = LineReporter(log, clock)
    reporter.start("Reading", None)
    clock.now += 10
    reporter.advance("Reading", 1_000_000_000)
    clock.now += 10
    reporter.advance("Reading", 10_000_000)
    assert log.getvalue().splitlines()[-1] == "Reading: 1.0 GB, 1.0 MB/s"


def test_one_line_for_all_tasks() -> None:
    log, clock = io.StringIO(), Clock()
    reporter = LineReporter(log, clock)
    for task in ("a", "b", "c"):
        reporter.start(task, 1000)
    reporter.advance("b", 2000)  # an estimate that was too low
    reporter.finish("c")
    reporter.advance("unknown", 1)
    clock.now += 10
    reporter.advance("a", 100)
    assert log.getvalue() == "a: 100 B of 1.0 kB, 10 B/s, 1 min 30 s left; b: 2.0 kB, 200 B/s\n"


def test_short_tasks_are_not_mentioned() -> None:
    log, clock = io.StringIO(), Clock()
    reporter = LineReporter(log, clock)
    for _ in range(10):
        clock.now += 60
        reporter.start("quick", 10)
        reporter.advance("quick", 10)
        reporter.finish("quick")
    assert log.getvalue() == ""


def test_quiet() -> None:
    log = io.StringIO()
    reporter = make_reporter(-1, log)
    reporter.start("a", 1)
    reporter.advance("a", 1)
    reporter.note("a note")
    reporter.warn("a warning")
    reporter.finish("a")
    assert log.getvalue() == "warning: a warning\n"


def test_bars_only_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, descriptor):
        reporter = BarReporter(stream, delay=3600)
        reporter.start("Reading app", 100)
        reporter.advance("Reading app", 50)
        reporter.note("a note")
        reporter.finish("Reading app")
        reporter.warn("the end")
        assert "Reading app" not in read_until(descriptor, "the end")


def test_bars_with_remarks_above(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, descriptor):
        reporter = BarReporter(stream, delay=0)
        reporter.start("Reading [bold]app", 3_000_000)
        reporter.advance("Reading [bold]app", 1_000_000)
        reporter.advance("unknown", 1)
        read_until(descriptor, "Reading [bold]app")
        read_until(descriptor, "1.0/3.0 MB")
        reporter.note("a [note]")
        read_until(descriptor, "a [note]")
        reporter.advance("Reading [bold]app", 5_000_000)
        read_until(descriptor, "6.0/6.0 MB")
        reporter.finish("Reading [bold]app")
        reporter.start("Packing", None)
        read_until(descriptor, "Packing")
        reporter.close()
        reporter.close()
        reporter.warn("the end")
        assert "\x1b[?25h" in read_until(descriptor, "the end")  # the cursor is shown again


def test_the_stream_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_reporter(0, io.StringIO()), LineReporter)
    with terminal(monkeypatch) as (stream, _):
        assert isinstance(make_reporter(1, stream), BarReporter)
        assert type(make_reporter(-1, stream)) is Remarks


def test_a_log_that_cannot_be_written_does_not_end_the_run() -> None:
    reporter: Reporter = make_reporter(0, Closed())
    reporter.note("a note")
    reporter.warn("a warning")


def test_remarks_go_to_standard_error() -> None:
    ended = hidden("remark")
    assert (ended.out, ended.err) == ("the result\n", "a note\nwarning: a warning\n")
    assert hidden("remark", "-q").err == "warning: a warning\n"
    ended = hidden("remark", "--json")
    assert ended.err == "a note\nwarning: a warning\n"
    assert ended.result["ok"] is True


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (1.5e9, "1.5 GB"),
        (2e15, "2.0 PB"),
    ],
)
def test_size(amount: float, text: str) -> None:
    assert size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7500, "2 h 5 min"), (273600, "3 d 4 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text

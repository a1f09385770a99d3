"""How the demonstration is told."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drtool.cli.demo import Narrator, program
from drtool.cli.demo_lines import lines_of
from drtool.cli.options import GlobalOptions
from drtool.cli.output import Output
from drtool.errors import ExitCode
from drtool.operations.demo.steps import Chapter, Check, DisasterFigures, KeyFigures, RestoreFigures, Step

CHECKS = (Check("fine", True, "all is well"), Check("gone", False, "2 left"))
STEP = Step(Chapter.DISASTER, 1.23456, DisasterFigures(10, 4, 3, 2), CHECKS)


def told(*, as_json: bool) -> str:
    """A chapter with a failed check."""
    stream = io.StringIO()
    output = Output(GlobalOptions(json=as_json, command="demo"), stream)
    narrator = Narrator(output)
    narrator.begin(STEP.chapter)
    narrator.end(STEP)
    output.finish(ExitCode.VERIFICATION_FAILED)
    return stream.getvalue()


def test_text() -> None:
    title, figures, fine, gone = told(as_json=False).strip().splitlines()
    assert title == "8. Disaster: the database is dropped, the vectors and the settings are deleted"
    assert figures == "   10 documents, 4 vectors and 3 files were there a moment ago"
    assert (fine, gone) == ("✓ all is well", "✗ gone: 2 left")


def test_json() -> None:
    step, result = map(json.loads, told(as_json=True).splitlines())
    assert step == {
        "type": "step",
        "step": "disaster",
        "title": "Disaster: the database is dropped, the vectors and the settings are deleted",
        "seconds": 1.235,
        "figures": {"documents": 10, "vectors": 4, "files": 3, "left": 2},
        "checks": [
            {"name": "fine", "ok": True, "message": "all is well"},
            {"name": "gone", "ok": False, "message": "2 left"},
        ],
    }
    assert result["figures"] == {"disaster": step["figures"]}
    assert result["checks"] == step["checks"]


def test_the_error_is_shown_as_it_was() -> None:
    lines = list(lines_of(KeyFigures(1, 8, 3, 2_000_000, "no identity, no data")))
    assert lines[-1] == "error: no identity, no data"


def test_a_restore_of_no_time() -> None:
    figures = RestoreFigures("s", 1, 1, 1, 10, 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    assert any("10 B, in 0.0 s" in line for line in lines_of(figures))


@pytest.mark.parametrize(
    ("called", "on_path", "expected"),
    [
        ("/venv/bin/drtool", True, "drtool"),
        ("/venv/bin/drtool", False, "/venv/bin/drtool"),
        ("/src/drtool/__main__.py", False, f"{sys.executable} -m drtool"),
    ],
)
def test_how_to_call_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, on_path: bool, expected: str
) -> None:
    if on_path:
        tmp_path.joinpath("drtool").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == expected

"""The files of cron/ are what is installed."""

from __future__ import annotations

import pytest

from drtool.config.shipped import shipped_folder
from drtool.errors import InstallationError
from drtool.scheduling.installing.templates import FOLDER, fill


def test_values_are_taken_as_they_are() -> None:
    assert fill("a @ONE@ b @TWO@ @ONE@\n", {"ONE": "@TWO@", "TWO": r"\1 $x %"}, "file") == "a @TWO@ b \\1 $x % @TWO@\n"


def test_further_lines_are_indented_and_empty_ones_are_not() -> None:
    assert fill("x\n    @ONE@\n  y: @TWO@\n", {"ONE": "a\n\n  b", "TWO": "1\n2"}, "file") == (
        "x\n    a\n\n      b\n  y: 1\n  2\n"
    )


def test_a_line_with_nothing_goes() -> None:
    assert fill("a\n  @ONE@\nb @ONE@\n", {"ONE": ""}, "file") == "a\nb \n"


@pytest.mark.parametrize(("text", "values"), [("@ONE@ @TWO@", {"ONE": "1"}), ("@ONE@", {"ONE": "1", "TWO": "2"})])
def test_placeholders_and_values_must_agree(text: str, values: dict[str, str]) -> None:
    with pytest.raises(InstallationError, match=r"cron/crontab does not fit .* differ in TWO"):
        fill(text, values, "cron/crontab")


def test_what_systemd_calls_a_set_is_no_placeholder() -> None:
    assert fill("SystemCallFilter=@system-service\n", {}, "file") == "SystemCallFilter=@system-service\n"


def test_each_file_says_what_it_is_for() -> None:
    names = {path.name for path in shipped_folder(FOLDER).iterdir()}
    assert names == {
        "crontab",
        "drtool.service",
        "drtool.timer",
        "drtool-capture.service",
        "hardening.conf",
        "hardening-user.conf",
        "kubernetes.yaml",
    }
    for path in shipped_folder(FOLDER).iterdir():
        assert path.read_text(encoding="utf-8").lstrip("\n").startswith("#"), path.name

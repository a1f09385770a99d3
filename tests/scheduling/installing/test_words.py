"""Commands as crontabs and units hold them: what is written is what is called."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import InstallationError
from drtool.scheduling.installing.words import CRON_BYTES, from_cron, from_unit, to_cron, to_unit

_CHARACTERS = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]).filter(str.isprintable)
_WORD = st.text(_CHARACTERS, min_size=1, max_size=20)
_WORDS = st.lists(_WORD, min_size=1, max_size=6)


@given(_WORDS.filter(lambda words: not any("\\" in word for word in words)))
def test_a_crontab_gives_the_words_back(words: list[str]) -> None:
    assert from_cron(f"* * * * * {to_cron(words)}") == words


@given(_WORDS)
def test_a_unit_gives_the_words_back(words: list[str]) -> None:
    assert from_unit(to_unit(["/opt/50% $HOME/drtool", *words])) == ["/opt/50% $HOME/drtool", *words]


@pytest.mark.parametrize("program", ["/o'clock/drtool", '/a"b/drtool', "/a\\b/drtool"])
def test_systemd_starts_no_program_of_such_a_name(program: str) -> None:
    with pytest.raises(InstallationError, match="systemd starts no program whose path has"):
        to_unit([program])


def test_the_shell_that_cron_calls_sees_the_words() -> None:
    words = ["printf", "%s|", "50% of it", "it's", 'a "b"', "$HOME", "*", ";", "ü"]
    line = to_cron(words)
    assert "%" not in line.replace("\\%", ""), "cron takes a % for the end of the line"
    done = subprocess.run(["sh", "-c", line.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{word}|" for word in words[2:])


@pytest.mark.parametrize("word", ["two\nlines", "a\ttab", "\x1b[0m", "not\udcffutf-8"])
def test_what_would_break_a_line_is_refused(word: str) -> None:
    for write in (to_cron, to_unit):
        with pytest.raises(InstallationError, match="has a character in it"):
            write(["drtool", word])


def test_crons_differ_about_backslashes() -> None:
    with pytest.raises(InstallationError, match="backslash"):
        to_cron(["drtool", "a\\b"])


def test_what_cron_would_cut_off_is_refused() -> None:
    enough = "x" * (CRON_BYTES - len("</dev/null "))
    assert len(to_cron([enough])) == CRON_BYTES
    with pytest.raises(InstallationError, match="cron takes 998"):
        to_cron([enough + "x"])


def test_a_line_that_somebody_broke_has_no_words() -> None:
    assert from_cron("* * * * * 'not ended") == []
    assert from_cron("no cron line") == []

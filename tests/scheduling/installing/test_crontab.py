"""A user's crontab through the program of that name."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.root import Config
from drtool.errors import InstallationError, MissingToolError, RefusedError
from drtool.scheduling.installing.blocks import blocks_of
from drtool.scheduling.installing.calling import Call
from drtool.scheduling.installing.crontab import Crontab, block_of
from drtool.scheduling.installing.rhythm import rhythm
from drtool.scheduling.installing.words import from_cron
from tests.scheduling.installing.standins import crontab_in, standing_in

_MINE = "MAILTO=me\n# mine\n5 4 * * * date +\\%F\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return crontab_in(tmp_path, monkeypatch)


def test_the_block_is_marked_with_the_configuration_and_sets_nothing_for_others(call: Call) -> None:
    [block] = blocks_of(block_of(call, rhythm(300)))
    assert block.config == call.config
    [line] = [line for line in block.lines if not line.startswith("#")]
    assert line.startswith("*/5 * * * * env PATH=/usr/bin:/bin sh -c ")
    assert line.endswith(" </dev/null")
    assert from_cron(line)[-6:] == list(call.words("schedule", "run"))


def test_in_and_out_again(call: Call, table: Path) -> None:
    table.write_text(_MINE, encoding="utf-8")
    crontab = Crontab()
    crontab.write(crontab.installing(call, rhythm(60)))
    assert table.read_text(encoding="utf-8") == _MINE + block_of(call, rhythm(60))
    assert not crontab.installing(call, rhythm(60)).changes
    again = crontab.installing(call, rhythm(300))
    assert [line[0] for line in again.difference().splitlines() if line[0] in "+-"] == ["-", "+", "-", "+"]
    crontab.write(again)
    crontab.write(crontab.removing(call.config))
    assert table.read_text(encoding="utf-8") == _MINE
    assert not crontab.removing(call.config).changes


def test_a_crontab_of_nothing_else_comes_and_goes(call: Call, table: Path) -> None:
    crontab = Crontab()
    assert crontab.read() is None
    assert not crontab.removing(call.config).changes
    edit = crontab.installing(call, rhythm(60))
    assert edit.difference().startswith("--- /dev/null\n+++ crontab of ")
    crontab.write(edit)
    crontab.write(crontab.removing(call.config))
    assert not table.exists()


def test_bytes_that_are_no_text_stay(call: Call, table: Path) -> None:
    mine = b"# caf\xe9\r\n\xff\n"
    table.write_bytes(mine)
    crontab = Crontab()
    crontab.write(crontab.installing(call, rhythm(60)))
    assert table.read_bytes().startswith(mine)
    crontab.write(crontab.removing(call.config))
    assert table.read_bytes() == mine


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(call: Call, table: Path) -> None:
    table.write_text(_MINE, encoding="utf-8")
    edit = Crontab().installing(call, rhythm(60))
    table.write_text(_MINE + "# more\n", encoding="utf-8")
    with pytest.raises(RefusedError, match="changed by somebody else meanwhile"):
        Crontab().write(edit)
    assert table.read_text(encoding="utf-8") == _MINE + "# more\n"


@pytest.mark.parametrize(
    "said", ["no crontab for root", "crontab: can't open 'root': No such file or directory"], ids=["vixie", "busybox"]
)
def test_crons_say_differently_that_there_is_none(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standing_in("crontab", f'#!/bin/sh\necho "{said}" >&2\nexit 1\n', tmp_path, monkeypatch)
    assert Crontab().read() is None


def test_a_crontab_that_cannot_be_read_is_not_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "#!/bin/sh\necho 'You (me) are not allowed to use this program (crontab)' >&2\nexit 1\n"
    standing_in("crontab", script, tmp_path, monkeypatch)
    with pytest.raises(RefusedError, match=r"cannot be read: You \(me\) are not allowed") as caught:
        Crontab().installing(call, rhythm(60))
    assert "cron.allow" in caught.value.hint


def test_what_crontab_does_not_take_is_told(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "#!/bin/sh\n[ $1 = -l ] && { echo no crontab for me >&2; exit 1; }\necho 'bad minute' >&2; exit 1\n"
    standing_in("crontab", script.replace("{", "{{").replace("}", "}}"), tmp_path, monkeypatch)
    crontab = Crontab()
    with pytest.raises(InstallationError, match="cannot be written: bad minute"):
        crontab.write(crontab.installing(call, rhythm(60)))


def test_a_host_without_cron(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        Crontab()
    assert "--systemd" in caught.value.hint


def test_the_command_reads_its_variables(config: Config, call: Call, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("MONGODB_URI='from the file'\n", encoding="utf-8")
    program = tmp_path / "a drtool"
    program.write_text(f'#!/bin/sh\necho "$MONGODB_URI $@" > {shlex.quote(str(tmp_path / "said"))}\n', encoding="utf-8")
    program.chmod(0o755)
    block = block_of(replace(call, program=program), rhythm(60))
    [line] = [line for line in block.splitlines() if not line.startswith("#")]
    subprocess.run(["sh", "-c", line.removeprefix("* * * * * ")], check=True, env={"PATH": "/usr/bin:/bin"})
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert said == f"from the file --config {config.path} --quiet schedule run\n"

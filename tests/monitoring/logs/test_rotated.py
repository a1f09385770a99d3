"""The log file: lines stay whole whoever writes, and old ones are put aside."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drtool.monitoring.logs import rotated
from drtool.monitoring.logs.rotated import RotatedFile
from tests.cli.running import ROOT, environment

WRITER = """
import sys
from pathlib import Path
from drtool.monitoring.logs.rotated import RotatedFile

file = RotatedFile(Path(sys.argv[1]), 2000, 100)
for number in range(200):
    file.add(f"{sys.argv[2]} {number} " + "x" * 40)
"""


def lines(path: Path) -> list[str]:
    """What all files together hold, oldest first."""
    aside = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [line for each in [*aside, path] if each.exists() for line in each.read_text().splitlines()]


def test_it_belongs_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "log" / "drtool.log"
    RotatedFile(path, 10_000, 2).add("a line")
    assert path.read_text() == "a line\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_old_files_are_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 100, 2)
    for number in range(10):
        file.add(f"{number} " + "x" * 45)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["drtool.log", "drtool.log.1", "drtool.log.2"]
    assert [line[0] for line in lines(path)] == ["4", "5", "6", "7", "8", "9"]


def test_none_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 100, 0)
    for number in range(5):
        file.add(f"{number} " + "x" * 60)
    assert [line[0] for line in lines(path)] == ["4"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_is_larger_than_a_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 100, 1)
    file.add("x" * 500)
    file.add("y")
    assert [len(line) for line in lines(path)] == [500, 1]


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=ROOT, env=environment())
        for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = lines(path)
    assert sorted(found) == sorted(f"{name} {number} " + "x" * 40 for name in "ab" for number in range(200))
    assert len(list(tmp_path.iterdir())) > 5
    for name in "ab":
        numbers = [int(line.split()[1]) for line in found if line.startswith(name)]
        assert numbers == sorted(numbers)


def test_several_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 1000, 100)

    def write(name: str) -> None:
        for number in range(50):
            file.add(f"{name} {number}")

    threads = [threading.Thread(target=write, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(path)) == len(set(lines(path))) == 150


def test_a_rotation_from_outside_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 10_000, 2)
    file.add("one")
    path.rename(tmp_path / "drtool.log-20261122")
    file.add("two")
    path.unlink()
    file.add("three")
    assert path.read_text() == "three\n"


def test_a_suspended_writer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotated, "_PATIENCE", 0.05)
    path = tmp_path / "drtool.log"
    file = RotatedFile(path, 100, 2)
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for number in range(4):
            file.add(f"{number} " + "x" * 45)
    assert len(lines(path)) == 4
    assert list(tmp_path.iterdir()) == [path], "nobody rotates without the lock"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"drtool\.log|file"):
        RotatedFile(tmp_path / "file" / "drtool.log", 100, 2).add("a line")
    with pytest.raises(OSError, match=r"full|No space"):
        RotatedFile(Path("/dev/full"), 100, 2).add("a line")

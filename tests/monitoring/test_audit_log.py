"""The file of an audit log: several processes, crashes, and those who edit it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import StateError
from drtool.monitoring.audit_log import FILE, AuditLog
from tests.cli.running import ROOT, environment

WRITER = """
import sys
from pathlib import Path
from drtool.monitoring.audit_log import AuditLog
for number in range(int(sys.argv[2])):
    with AuditLog(Path(sys.argv[1])) as log:
        log.append({"command": f"{sys.argv[3]}-{number}"})
"""


def _faults(directory: Path) -> list[str]:
    with AuditLog(directory) as log:
        return [fault.kind for fault in log.check().faults]


def _fill(directory: Path, count: int) -> None:
    with AuditLog(directory) as log:
        for number in range(count):
            log.append({"command": f"c{number}"})


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), "15", name], cwd=ROOT, env=environment())
        for name in "abc"
    ]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    with AuditLog(tmp_path) as log:
        found = log.check()
        commands = [line.fields["command"] for line in log.lines()]
    assert (found.faults, found.end.number) == ([], 45)
    for name in "abc":
        assert [one for one in commands if one.startswith(name)] == [f"{name}-{number}" for number in range(15)]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    _fill(tmp_path, 1)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@given(st.integers(1, 4), st.data())
def test_a_crash_while_a_line_is_written(count: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _fill(directory, count)
        path = directory / FILE
        before = path.read_bytes()
        memory = {one: one.read_bytes() for one in directory.glob("audit.sqlite*")}
        _fill(directory, 1)
        line = path.read_bytes()[len(before) :]
        # As after a crash: so much of the line is on the disk, and the database does not know of it.
        length = data.draw(st.integers(1, len(line)))
        path.write_bytes(before + line[:length])
        for one in directory.glob("audit.sqlite*"):
            one.unlink()
        for one, content in memory.items():
            one.write_bytes(content)
        assert _faults(directory) == []
        _fill(directory, 2)
        with AuditLog(directory) as log:
            found = log.check()
        whole = length >= len(line) - 1
        assert (found.faults, found.end.number, found.torn) == ([], count + 2 + whole, not whole)


def test_a_cut_stays_visible_when_others_write_on(tmp_path: Path) -> None:
    _fill(tmp_path, 5)
    path = tmp_path / FILE
    kept = b"".join(path.read_bytes().splitlines(keepends=True)[:3])
    path.write_bytes(kept)
    assert _faults(tmp_path) == ["cut"]
    _fill(tmp_path, 2)
    assert _faults(tmp_path) == ["missing"]
    path.write_bytes(kept[:-10])
    _fill(tmp_path, 1)
    assert _faults(tmp_path) == ["altered", "missing"]
    path.unlink()
    _fill(tmp_path, 1)
    assert _faults(tmp_path) == ["missing"]


def test_the_last_line_edited_and_lines_put_behind_it(tmp_path: Path) -> None:
    _fill(tmp_path, 3)
    path = tmp_path / FILE
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b'"c2"', b'"cx"'))
    assert _faults(tmp_path) == ["altered"]
    other = tmp_path / "other"
    other.mkdir()
    (other / FILE).write_bytes(sound)
    _fill(other, 2)
    path.write_bytes((other / FILE).read_bytes())
    assert _faults(tmp_path) == ["foreign"]
    path.write_bytes(sound + b"garbage\n")
    assert _faults(tmp_path) == ["altered"]
    _fill(tmp_path, 1)
    assert _faults(tmp_path) == ["altered"]


def test_without_its_memory_the_file_is_taken_as_it_is(tmp_path: Path) -> None:
    _fill(tmp_path, 3)
    for path in tmp_path.glob("audit.sqlite*"):
        path.unlink()
    _fill(tmp_path, 2)
    with AuditLog(tmp_path) as log:
        found = log.check()
        assert (found.faults, found.end.number, log.id()) == ([], 5, found.log)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path, 2)
    sound = (tmp_path / FILE).read_bytes()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-19])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with AuditLog(tmp_path) as log, pytest.raises(StateError, match="No space left"):
            log.append({"command": "c2"})
    assert (tmp_path / FILE).read_bytes() == sound
    _fill(tmp_path, 1)
    assert _faults(tmp_path) == []


def test_what_cannot_be_remembered_leaves_nothing(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        _fill(tmp_path, 3)
        sound = (tmp_path / FILE).read_bytes()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # There is room in the file's last block, and none for what the database writes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        try:
            for _ in range(3):
                with pytest.raises(StateError, match=r"audit\.sqlite cannot be used"):
                    log.append({"command": "c3"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / FILE).read_bytes() == sound
    _fill(tmp_path, 1)
    assert _faults(tmp_path) == []


def test_what_a_repository_has_not_got(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        assert log.pending("r").lines == ()
        _fill(tmp_path, 3)
        pending = log.pending("r")
        assert [line.number for line in pending.lines] == [1, 2, 3]
        log.note_uploaded("r", pending)
        assert log.pending("r").lines == ()
        _fill(tmp_path, 2)
        assert [line.number for line in log.pending("r").lines] == [4, 5]
        assert [line.number for line in log.pending("other").lines] == [1, 2, 3, 4, 5]
        assert log.uploaded("r")[1].number == 3


def test_what_is_said_seldom(tmp_path: Path) -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC)]
    hour = timedelta(hours=1)
    with AuditLog(tmp_path, lambda: moments[0]) as log:
        assert [log.is_due("a", hour), log.is_due("a", hour), log.is_due("b", hour)] == [True, False, True]
        moments[0] += timedelta(minutes=59)
        assert not log.is_due("a", hour)
        moments[0] += timedelta(minutes=1)
        assert log.is_due("a", hour)
        moments[0] -= timedelta(days=2)
        assert log.is_due("a", hour)  # a clock that was stepped back silences nothing

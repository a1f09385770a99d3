"""Locks between processes: held by the living only."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drtool.errors import LockedError
from drtool.local.locks import held, is_held

_HOLD = """
import sys
from pathlib import Path
from drtool.local.locks import held
with held(Path(sys.argv[1]), "it is being done", ""):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    with (
        held(tmp_path / "below" / "one.lock", "it is being done", "Wait."),
        pytest.raises(LockedError, match=f"it is being done by another process \\(pid {os.getpid()}\\)") as caught,
        held(tmp_path / "below" / "one.lock", "it is being done", "Wait."),
    ):
        pass
    assert caught.value.hint == "Wait."


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_held(path)
        process.kill()
        process.wait()
    assert not is_held(path)
    with held(path, "", ""):
        assert is_held(path)


def test_who_only_looks_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    path.touch()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(path)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            with held(path, "it is being done", ""):
                pass
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what others own")
def test_what_root_locks_in_a_directory_of_somebody_else_s_is_theirs(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with held(tmp_path / "one.lock", "it is being done", ""):
        pass
    assert (tmp_path / "one.lock").stat().st_uid == 65534


def test_what_is_not_there_is_not_held(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none.lock")

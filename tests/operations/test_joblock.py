"""One run of a job at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drtool.errors import LockedError
from drtool.operations.joblock import job_lock
from tests.cli.running import ROOT, environment

HOLD = """
import sys
from pathlib import Path
from drtool.operations.joblock import job_lock
with job_lock(Path(sys.argv[1]), "nightly"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_of_one_process(tmp_path: Path) -> None:
    with job_lock(tmp_path / "state", "nightly"), job_lock(tmp_path / "state", "weekly"):
        with pytest.raises(LockedError, match=f"pid {os.getpid()}"), job_lock(tmp_path / "state", "nightly"):
            pytest.fail("it was held")
        # Whoever was refused took nothing away.
        with pytest.raises(LockedError), job_lock(tmp_path / "state", "nightly"):
            pytest.fail("it was held")
    with job_lock(tmp_path / "state", "nightly"):
        pass
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_the_dead_hold_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"pid {process.pid}"), job_lock(tmp_path, "nightly"):
            pytest.fail("it was held")
        process.kill()
        process.wait(60)
        with job_lock(tmp_path, "nightly"):
            pass
    finally:
        process.kill()
        process.communicate()

"""The time limit of a run whose starter has gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drtool.operations.unattended.attending.limits import in_time

#: Waits within a limit until it is asked to end, or a second limit of its own is over; says which.
LIMITED = """
import sys, time
from pathlib import Path
from drtool.cli.signals import StoppedError, stopping_in_order
from drtool.operations.unattended.attending.limits import in_time
try:
    with stopping_in_order(lambda: None), in_time(0.2, look=0.2):
        Path(sys.argv[2]).touch()
        time.sleep(float(sys.argv[3]))
    told = "went on"
except StoppedError as error:
    told = error.name
out = Path(sys.argv[1])
out.with_suffix(".new").write_text(told)
out.with_suffix(".new").rename(out)
"""
#: Starts that, and stays, or goes once it has begun.
STARTER = """
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", *sys.argv[2:]])
if sys.argv[1] == "stays":
    child.wait()
while not Path(sys.argv[4]).exists():
    time.sleep(0.01)
"""


def outcome(tmp_path: Path, starter: str, seconds: float) -> str:
    out, begun = tmp_path / "out", tmp_path / "begun"
    read = "import sys, time; from pathlib import Path\nwhile not Path(sys.argv[1]).exists(): time.sleep(0.01)"
    arguments = [LIMITED, str(out), str(begun), str(seconds)]
    subprocess.run([sys.executable, "-c", STARTER, starter, *arguments], check=True, timeout=120)
    subprocess.run([sys.executable, "-c", read, str(out)], check=True, timeout=120)
    return out.read_text()


def test_one_whose_starter_has_gone_ends_itself(tmp_path: Path) -> None:
    assert outcome(tmp_path, "goes", 100) == "SIGTERM"


def test_one_whose_starter_lives_is_left_to_it(tmp_path: Path) -> None:
    assert outcome(tmp_path, "stays", 1) == "went on"


@pytest.mark.parametrize("seconds", [None, 600.0])
def test_it_keeps_nothing_waiting(seconds: float | None) -> None:
    with in_time(seconds):
        pass

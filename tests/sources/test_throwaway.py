"""A throw-away directory goes with whoever made it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from drtool.sources.throwaway import throwaway

_HOLD = """
import sys
from pathlib import Path
from drtool.sources.throwaway import throwaway
with throwaway(Path(sys.argv[1]), "held-") as directory:
    (directory / "file").write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_goes_at_the_end(tmp_path: Path) -> None:
    with throwaway(tmp_path, "held-") as directory:
        (directory / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_its_maker_is_killed(tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        maker.kill()
    deadline = time.monotonic() + 60
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []

"""A throw-away directory goes with whoever made it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from drtool.errors import SourceError
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
_WRITE = """
import os, sys, time
print("writing", flush=True)
end = time.monotonic() + 1
number = 0
while time.monotonic() < end and os.path.exists(sys.argv[1]):
    open(os.path.join(sys.argv[1], str(number)), "w").close()
    number += 1
"""


def test_it_goes_at_the_end(tmp_path: Path) -> None:
    with throwaway(tmp_path, "held-") as directory:
        (directory / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file") as caught, throwaway(tmp_path / "none", "held-"):
        pass
    assert "TMPDIR" in caught.value.hint


def test_it_goes_when_its_maker_is_killed(tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        maker.kill()
    assert _goes(tmp_path)


def test_it_goes_although_somebody_writes_a_little_longer(tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"ready\n"
        [held] = tmp_path.iterdir()
        with subprocess.Popen([sys.executable, "-c", _WRITE, str(held)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            maker.kill()
    assert _goes(tmp_path)


def _goes(place: Path) -> bool:
    deadline = time.monotonic() + 60
    while list(place.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not list(place.iterdir())

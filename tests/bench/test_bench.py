"""The benchmark itself, on next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from tests.bench.measure import FailedError, Measured, run
from tests.bench.place import PARTS
from tests.bench.table import render

_ROOT = Path(__file__).parents[2]


def _bench(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", "--directory", str(directory), *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.heavy
def test_measures_every_part_and_leaves_nothing(tmp_path: Path) -> None:
    try:
        find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    done = _bench(tmp_path, "--scale", "0.005", "--runs", "1")
    assert done.returncode == 0, done.stderr
    assert "1,000 transactions and 25 documents" in done.stdout
    for title in PARTS.values():
        assert f"\n{title}\n" in done.stdout
    assert done.stdout.count("\n  drtool  ") == len(PARTS) + 13  # and the replay, and Redis' three of each size
    assert done.stdout.count("\n  drtool, PostgreSQL  ") == 3
    assert done.stdout.count(" drtool  ", done.stdout.index(" small files and 4 large ones")) >= 3
    assert "\n  after every payload was touched " in done.stdout
    assert "\n  qdrant" in done.stdout
    assert "\n  32-bit floats as doubles " in done.stdout
    assert "replay of 200 mixed operations\n  drtool " in done.stdout
    assert "\n  after the same in the larger one " in done.stdout
    assert "\n  snapshots, nothing cached " in done.stdout
    assert "\n  retention plan " in done.stdout
    assert "\n  prune --dry-run " in done.stdout
    assert "with random ids, 0.25 GB of server cache\n  drtool, first backup " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_names_an_unknown_part(tmp_path: Path) -> None:
    done = _bench(tmp_path, "frist")
    assert done.returncode == 2
    assert "frist" in done.stdout


def test_measures_a_pipeline_whole(tmp_path: Path) -> None:
    script = "import sys; kept = b'x' * 30_000_000; import time; time.sleep(0.3); sys.stdout.write('done')"
    out = tmp_path / "out"
    measured = run([[sys.executable, "-c", script], ["cat"]], cwd=tmp_path, env={}, server=os.getpid(), stdout=out)
    assert out.read_text() == "done"
    assert measured.seconds >= 0.3
    assert measured.peak > 30_000_000


def test_counts_what_the_servers_own_processes_spend(tmp_path: Path) -> None:
    script = "import time\nwhile time.process_time() < 0.5: pass"
    measured = run([[sys.executable, "-c", script]], cwd=tmp_path, env={}, server=os.getpid())
    assert measured.cpu >= 0.5
    assert measured.server_cpu >= 0.4  # which the system tells in hundredths


@pytest.mark.parametrize("position", [0, 1])
def test_says_which_process_failed(tmp_path: Path, position: int) -> None:
    pipeline = [["cat"], ["cat"]]
    pipeline[position] = [sys.executable, "-c", "import sys; sys.exit('broken on purpose')"]
    with pytest.raises(FailedError, match="broken on purpose"):
        run(pipeline, cwd=tmp_path, env={}, server=os.getpid())


def test_compares_run_by_run() -> None:
    runs = {
        "ours": [Measured(2.0, 1, 1, 10_000_000), Measured(8.0, 1, 1, 20_000_000)],
        "theirs": [Measured(1.0, 1, 1, 0), Measured(4.0, 1, 1, 0)],
    }
    lines = render("part", runs, 10_000_000, "ours").splitlines()
    assert lines[0] == "part"
    assert lines[2].split() == ["ours", "5.00", "2.00", "–", "8.00", "2", "1.00", "1.00", "20"]
    assert lines[3].endswith("2.00 × its time")

"""A skipped test fails continuous integration, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "skip": "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n",
    "module": "import pytest\npytest.importorskip('no_such_module')\n",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_a(): assert False\n",
}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("kind", "in_ci", "workers", "code"),
    [
        ("skip", True, "2", 1),
        ("skip", True, "0", 1),
        ("skip", False, "0", 0),
        ("module", True, "0", 1),
        ("xfail", True, "0", 0),
    ],
)
def test_skips(kind: str, in_ci: bool, workers: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(TESTS[kind])
    (tmp_path / "test_more.py").write_text("def test_passes(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DRTOOL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", workers],
        env=kept | ({"DRTOOL_CI": "1"} if in_ci else {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("with DRTOOL_CI set" in done.stdout) is (code == 1)

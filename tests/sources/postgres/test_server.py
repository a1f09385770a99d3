"""Private servers: what they need, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drtool.errors import MissingToolError, SourceError
from drtool.sources.postgres import tools
from drtool.sources.postgres.sandbox import sandbox_program
from drtool.sources.postgres.server import running
from tests.cli.running import ROOT
from tests.servers.postgres import NEWEST, connected
from tests.servers.process import wait_until

_HOLDER = """
import sys, time
from pathlib import Path
from drtool.sources.postgres.server import running
with running(Path(sys.argv[1])) as server:
    print(server.pid, server.directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def postgres() -> Path:
    """The program."""
    try:
        return sandbox_program(None, f"{NEWEST}.0")
    except MissingToolError as error:
        pytest.skip(error.message)


def test_nothing_is_left_after_a_crash(postgres: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(postgres)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pid, _, directory = holder.stdout.readline().strip().partition(" ")
        assert Path(directory).is_dir()
        holder.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path(directory).exists(), "the directory to go")
    wait_until(lambda: not _runs(int(pid)), "the server to end")


def _runs(pid: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
    except OSError:
        return False


def test_it_is_nobodys_but_its_owners(postgres: Path, tmp_path: Path) -> None:
    with running(postgres, tmp_path) as server:
        assert server.directory.stat().st_mode & 0o077 == 0
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        with connected(server.uri) as session:
            assert session.execute("SHOW listen_addresses").fetchall() == [("",)]
    assert not server.directory.exists()


def test_a_server_that_does_not_start_says_why(postgres: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError) as caught,
        running(postgres, tmp_path, settings={"shared_buffers": "nonsense"}),
    ):
        pass
    assert "shared_buffers" in caught.value.message


def test_the_program_nearest_to_the_version_is_taken(tmp_path: Path) -> None:
    for name, version in (("a", "16.2"), ("b", "18.1"), ("c", "17.0"), ("d", "broken")):
        directory = tmp_path / name
        directory.mkdir()
        program = directory / "pg_dump"
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    assert tools.find("pg_dump", 16, tmp_path / "a") == tmp_path / "a" / "pg_dump"
    assert tools.find("pg_dump", 16, tmp_path / "b") == tmp_path / "b" / "pg_dump"
    for place, wanted in (("c", 18), ("d", 16)):
        with pytest.raises(MissingToolError) as caught:
            tools.find("pg_dump", wanted, tmp_path / place)
        assert caught.value.hint


def test_the_engine_is_imported_only_when_used() -> None:
    code = "import sys, drtool.sources.postgres; sys.exit('psycopg' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_place_that_its_user_cannot_get_to_is_not_used(postgres: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running(postgres, closed) as server:
        assert (server.directory.parent != closed) == (os.geteuid() == 0)

"""The embedded server: it starts, it says why it does not, and it never stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.errors import MissingToolError, SourceError
from drtool.sources.mongodb import server as server_module
from drtool.sources.mongodb.binary import find_mongod, version_of
from drtool.sources.mongodb.sandbox import sandbox
from drtool.sources.mongodb.server import ServerOptions, running
from drtool.sources.supervising import free_port
from tests.sources.mongo import Document


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Is there such a process (one that only waits to be buried does not count)?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_ends_with_the_block(mongod: Path, tmp_path: Path) -> None:
    with running(mongod, ServerOptions(replica_set="r"), tmp_path) as server:
        with MongoClient[Document](server.uri) as client:
            assert client.admin.command("hello")["setName"] == "r"
        assert runs(server.pid)
        assert server.directory.parent == tmp_path
    assert not runs(server.pid)
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_an_error(mongod: Path, tmp_path: Path) -> None:
    pids = []
    with pytest.raises(ZeroDivisionError), running(mongod, ServerOptions(), tmp_path) as server:
        pids.append(server.pid)
        raise ZeroDivisionError
    assert not runs(pids[0])
    assert list(tmp_path.iterdir()) == []


STARTER = """
import sys, threading
from pathlib import Path
from drtool.sources.mongodb.server import ServerOptions, running
entered = running(Path(sys.argv[1]), ServerOptions(), Path(sys.argv[2]))
started = threading.Thread(target=lambda: print(entered.__enter__().pid, flush=True))  # a thread that is gone after
started.start()
started.join()
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_a_process_that_is_killed(mongod: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", STARTER, str(mongod), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.send_signal(number)
        process.wait()
    wait_until(lambda: not runs(pid))
    wait_until(lambda: list(tmp_path.iterdir()) == [])


def test_it_does_not_outlive_its_supervisor(mongod: Path, tmp_path: Path) -> None:
    with running(mongod, ServerOptions(), tmp_path) as server:
        supervisor = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not runs(server.pid))


def test_two_at_once(mongod: Path, tmp_path: Path) -> None:
    with running(mongod, ServerOptions(), tmp_path) as one, running(mongod, ServerOptions(), tmp_path) as other:
        assert one.port != other.port
        assert one.directory != other.directory


def test_a_port_that_is_taken_meanwhile(mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = free_port()
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(server_module, "free_port", lambda: next(ports))
        with running(mongod, ServerOptions(), tmp_path) as server:
            assert server.port == free
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_quotes_the_log(mongod: Path, tmp_path: Path) -> None:
    options = ServerOptions(arguments=("--storageEngine", "paper"))
    with pytest.raises(SourceError, match="unknown storage engine"), running(mongod, options, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_it_is_looked_for(mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {}
    for place in ("configured", "environment", "path"):
        directory = tmp_path / place
        directory.mkdir()
        programs[place] = directory / "mongod"
        programs[place].write_text("#!/bin/sh\necho 'db version v9.1.2'\n")
        programs[place].chmod(0o755)
    monkeypatch.delenv("DRTOOL_MONGOD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr("drtool.sources.mongodb.binary._in_wheel", lambda: None)
    with pytest.raises(MissingToolError) as caught:
        find_mongod()
    assert "drtool[mongod]" in caught.value.hint
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    assert find_mongod() == programs["path"]
    monkeypatch.setenv("DRTOOL_MONGOD", str(programs["environment"]))
    assert find_mongod() == programs["environment"]
    assert find_mongod(programs["configured"]) == programs["configured"]
    assert version_of(programs["configured"]) == "9.1.2"
    with pytest.raises(MissingToolError, match="no program"):
        find_mongod(tmp_path / "absent")


def test_a_sandbox_older_than_the_source_is_refused(mongod: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"999\.1\.2"), sandbox(mongod, "999.1.2", tmp_path):
        pass
    with sandbox(mongod, "4.2.0", tmp_path) as server:
        assert server.uri.startswith("mongodb://127.0.0.1:")


def test_started_from_a_thread_that_is_gone(mongod: Path, tmp_path: Path) -> None:
    entered = running(mongod, ServerOptions(), tmp_path)
    servers = []
    thread = threading.Thread(target=lambda: servers.append(entered.__enter__()))
    thread.start()
    thread.join()
    with MongoClient[Document](servers[0].uri) as client:
        assert client.admin.command("ping")["ok"]
    entered.__exit__(None, None, None)
    assert not runs(servers[0].pid)

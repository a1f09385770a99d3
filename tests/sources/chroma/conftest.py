"""An embedded Chroma, and a server."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from tests.sources.chroma.zoo import Client

_START_SECONDS = 120.0


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Client]]:
    """A directory, and the application's client of it."""
    chromadb = pytest.importorskip("chromadb")
    directory = tmp_path_factory.mktemp("chroma")
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(directory), settings=settings)
    try:
        yield directory, client
    finally:
        client.close()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that all tests of this process share: each has a database of its own."""
    pytest.importorskip("chromadb")
    program = Path(sys.executable).with_name("chroma")
    directory = tmp_path_factory.mktemp("chroma-server")
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        log = directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "run", "--path", str(directory / "data"), "--host", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            if _listens(process, port, directory / "data"):
                yield port
                return
        finally:
            process.kill()
            process.wait()
    pytest.fail(f"chroma did not start: {log.read_text(errors='replace')[-500:]}")


@pytest.fixture
def on_server(server: int) -> Iterator[tuple[str, str, Client]]:
    """The server's URL, a database of this test's own on it, and a client of that."""
    chromadb = pytest.importorskip("chromadb")
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    admin = chromadb.HttpClient(host="127.0.0.1", port=server, settings=settings)
    name = f"db-{uuid4().hex[:12]}"
    admin._server.create_database(name)
    client = chromadb.HttpClient(host="127.0.0.1", port=server, database=name, settings=settings)
    try:
        yield f"http://127.0.0.1:{server}", name, client
    finally:
        client.close()
        admin.close()


def _listens(process: subprocess.Popen[bytes], port: int, data: Path) -> bool:
    """Does it, and is it not another server that took the port meanwhile? A tenant made there is in our data."""
    deadline = time.monotonic() + _START_SECONDS
    tenant = f"tenant-{uuid4().hex}"
    while process.poll() is None and time.monotonic() < deadline:
        request = Request(
            f"http://127.0.0.1:{port}/api/v2/tenants",
            data=json.dumps({"name": tenant}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            urlopen(request, timeout=_START_SECONDS).close()
            return tenant in _tenants(data)
        except OSError:
            time.sleep(0.05)
    return False


def _tenants(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / "chroma.sqlite3", timeout=_START_SECONDS)) as database:
        return [name for (name,) in database.execute("SELECT id FROM tenants")]

"""A private mongod on loopback, in a directory of its own, that never outlives this process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from drtool.errors import SourceError
from drtool.sources.supervising import free_port, supervised

_PORT_ATTEMPTS = 5
_START_SECONDS = 90.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to start it: `replica_set` names a set of one node (None: standalone), `cache_gb` is WiredTiger's cache in
    GB, `oplog_mb` the oplog's size; `parameters` become ``--setParameter``, `arguments` follow as they are.

    With `spares_journal` a write is the majority's before it lies in the journal: quicker, for what need not survive.
    """

    replica_set: str | None = None
    #: In the smallest that mongod takes, 0.25, one document of 16 MB and its oplog entry may be "too large".
    cache_gb: float = 0.5
    oplog_mb: int = 990
    parameters: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    spares_journal: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A running mongod. ``uri`` addresses it directly; ``pid`` is mongod's own."""

    uri: str
    port: int
    pid: int
    directory: Path


class _PortTakenError(Exception):
    """Somebody else took the port between our choosing it and mongod's binding it."""


@contextlib.contextmanager
def running(mongod: Path, options: ServerOptions, parent: Path | None = None) -> Iterator[Server]:
    """Start `mongod`, in a new directory below `parent` (default: the system's temporary directory), and end it.

    The directory goes with it. Both go too when this process is killed (``supervisor``). Raises ``SourceError``
    with the last useful line of mongod's log when it does not start.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                server = stack.enter_context(_started(mongod, options, parent))
                break
            except _PortTakenError as error:
                if attempt == _PORT_ATTEMPTS:
                    raise SourceError("mongod did not start: no free port on 127.0.0.1") from error
        yield server


@contextlib.contextmanager
def _started(mongod: Path, options: ServerOptions, parent: Path | None) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="drtool-mongod-", dir=parent))
    port = free_port()
    with supervised(directory, _command(mongod, options, directory, port)) as supervisor:
        _wait_until_listening(supervisor, directory)
        uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        if options.replica_set is not None:
            member = {"_id": 0, "host": f"127.0.0.1:{port}"}
            config = {"_id": options.replica_set, "members": [member]}
            _initiate(uri, {**config, "writeConcernMajorityJournalDefault": not options.spares_journal})
        yield Server(uri, port, int(directory.joinpath("pid").read_text(encoding="ascii")), directory)


def _command(mongod: Path, options: ServerOptions, directory: Path, port: int) -> list[str]:
    data = directory / "data"
    data.mkdir()
    command = [str(mongod), "--dbpath", str(data), "--logpath", str(directory / "mongod.log")]
    command += ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
    command += ["--wiredTigerCacheSizeGB", str(options.cache_gb)]
    if options.replica_set is not None:
        command += ["--replSet", options.replica_set, "--oplogSize", str(options.oplog_mb)]
    for name, value in {"diagnosticDataCollectionEnabled": "false", **options.parameters}.items():
        command += ["--setParameter", f"{name}={value}"]
    return [*command, *options.arguments]


def _wait_until_listening(supervisor: subprocess.Popen[bytes], directory: Path) -> None:
    """By mongod's own log, not by trying the port, where somebody else might answer."""
    deadline = time.monotonic() + _START_SECONDS
    log = directory / "mongod.log"
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if "aiting for connections" in text and directory.joinpath("pid").exists():
            return
        if directory.joinpath("exit").exists() or supervisor.poll() is not None:
            if "ddress already in use" in text:
                raise _PortTakenError
            raise SourceError(f"mongod did not start: {_last_words(directory)}")
        time.sleep(_POLL_SECONDS)
    raise SourceError(f"mongod did not start within {_START_SECONDS:.0f} seconds: {_last_words(directory)}")


def _last_words(directory: Path) -> str:
    """The last error in mongod's log, else the last line that it wrote anywhere."""
    lines: list[str] = []
    for name in ("output", "mongod.log"):
        with contextlib.suppress(FileNotFoundError):
            lines += directory.joinpath(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    entries = [entry for entry in map(_log_entry, lines) if entry.get("s") in {"E", "F"}]
    if entries:
        detail = entries[-1].get("attr")
        return f"{entries[-1].get('msg')} {json.dumps(detail) if detail else ''}".strip()
    return lines[-1] if lines else "it wrote no log"


def _log_entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _initiate(uri: str, config: Mapping[str, Any]) -> None:
    """Make it a replica set of one node and wait until it takes writes."""
    deadline = time.monotonic() + _START_SECONDS
    client: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=int(_START_SECONDS * 1000))
    with client:
        try:
            client.admin.command("replSetInitiate", config)
            while not client.admin.command("hello")["isWritablePrimary"]:
                if time.monotonic() > deadline:
                    raise SourceError(f"mongod did not become primary within {_START_SECONDS:.0f} seconds")
                time.sleep(_POLL_SECONDS)
        except PyMongoError as error:
            raise SourceError(f"mongod did not become a replica set: {error}") from error

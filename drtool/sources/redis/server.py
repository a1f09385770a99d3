"""A private redis-server on loopback, in a directory of its own, that never outlives this process."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import SourceError
from drtool.sources.supervising import free_port, supervised

_PORT_ATTEMPTS = 5
_START_SECONDS, _POLL_SECONDS = 90.0, 0.02
#: As many databases as anybody has; each costs the server a few hundred bytes.
_DATABASES = 4096
_CONFIG: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "databases": str(_DATABASES),
    "save": '""',
    "appendonly": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
    "maxmemory": "0",
    "proto-max-bulk-len": "4gb",
    "daemonize": "no",
}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running redis-server. ``uri`` holds a password that only this process knows; ``pid`` is the server's own."""

    uri: str
    port: int
    pid: int
    directory: Path


class _PortTakenError(Exception):
    """Somebody else took the port between our choosing it and the server's binding it."""


@contextlib.contextmanager
def running(
    program: Path, parent: Path | None = None, config: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Start `program`, in a new directory below `parent` (default: the system's temporary directory), and end it.

    `config` is put over the usual settings. The directory goes with the server, both too when this process is killed.
    Raises ``SourceError`` with the last line of the server's log when it does not start.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                server = stack.enter_context(_started(program, parent, {**_CONFIG, **(config or {})}))
                break
            except _PortTakenError as error:
                if attempt == _PORT_ATTEMPTS:
                    raise SourceError("redis-server did not start: no free port on 127.0.0.1") from error
        yield server


@contextlib.contextmanager
def _started(program: Path, parent: Path | None, config: Mapping[str, str]) -> Iterator[RunningServer]:
    directory = Path(tempfile.mkdtemp(prefix="drtool-redis-", dir=parent))
    port, password = free_port(), secrets.token_hex(16)
    settings = {"port": str(port), "dir": f'"{directory}"', "requirepass": password, **config}
    written = directory / "redis.conf"
    written.write_text("".join(f"{name} {value}\n" for name, value in settings.items() if value), encoding="utf-8")
    command = [str(program), str(written)]
    with supervised(directory, command) as supervisor:
        _wait_until_listening(supervisor, directory)
        pid = int(directory.joinpath("pid").read_text(encoding="ascii"))
        yield RunningServer(f"redis://:{password}@127.0.0.1:{port}/0", port, pid, directory)


def _wait_until_listening(supervisor: subprocess.Popen[bytes], directory: Path) -> None:
    """By the server's own words, not by trying the port, where somebody else might answer."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        said = _said(directory)
        if "eady to accept connections" in said and directory.joinpath("pid").exists():
            return
        if directory.joinpath("exit").exists() or supervisor.poll() is not None:
            said = _said(directory)
            if "ddress already in use" in said:
                raise _PortTakenError
            raise SourceError(f"redis-server did not start: {_last_line(said)}")
        time.sleep(_POLL_SECONDS)
    raise SourceError(f"redis-server did not start within {_START_SECONDS:.0f} seconds: {_last_line(_said(directory))}")


def _said(directory: Path) -> str:
    try:
        return directory.joinpath("output").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else "it said nothing"

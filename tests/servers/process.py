"""Starting and stopping server processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN = 60.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def program(name: str) -> str:
    """The path of a program that came with a Python package."""
    return str(Path(sys.executable).with_name(name))


def answers(port: int) -> bool:
    """Does something listen?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    command: Sequence[str], ready: Callable[[], bool], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run `command` until the block ends (or this process, however); entered once `ready` says True."""
    guarded = [sys.executable, "-m", "tests.servers.guard", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            guarded,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    assert process.stdin is not None
    try:
        wait_until(lambda: process.poll() is not None or ready(), f"{command[0]} to start")
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended:\n{log.read_text(errors='replace')[-4000:]}")
        yield
    finally:
        process.stdin.close()
        process.wait(20)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_WITHIN) -> None:
    """Poll `condition`; ``TimeoutError`` naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)

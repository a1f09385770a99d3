"""Running whole processes, alone or piped into each other, and what they cost."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.02
#: Adding up what processes share takes the system a while, in which they stand still.
_SHARES_EVERY = 50
_SHOWN_BYTES = 2_000
_NOTHING = Path(os.devnull)


class FailedError(Exception):
    """A measured process ended with an error; what it wrote to standard error is the message."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: ``seconds`` of wall time, ``cpu`` and ``server_cpu`` (user and system, with children) in seconds,
    ``peak`` the resident memory in bytes, the processes' peaks added up, with what their children do not share."""

    seconds: float
    cpu: float
    server_cpu: float
    peak: int


def run(
    pipeline: Sequence[Sequence[str | Path]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    server: int,
    stdout: Path | None = None,
) -> Measured:
    """Run a pipeline to its end. `server` is the process id of the server whose share is told apart.

    Raises ``FailedError`` when one of its processes fails.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_NOTHING.open("rb"))
        sink = stack.enter_context((stdout or _NOTHING).open("wb"))
        said = stack.enter_context(tempfile.TemporaryFile())
        before = _cpu_of(server)
        started = time.monotonic()
        processes = stack.enter_context(_started(pipeline, source, sink, said, cwd, env))
        with _Peaks([process.pid for process in processes]) as peaks:
            cpu = sum(_wait(process) for process in processes)
        seconds = time.monotonic() - started
        failed = [process for process in processes if process.returncode != 0]
        if failed:
            raise FailedError(f"{failed[0].args!r}: exit code {failed[0].returncode}\n{_last_words(said)}")
        return Measured(seconds, cpu, _cpu_of(server) - before, peaks.total)


@contextlib.contextmanager
def _started(
    pipeline: Sequence[Sequence[str | Path]],
    source: IO[bytes],
    sink: IO[bytes],
    said: IO[bytes],
    cwd: Path,
    env: Mapping[str, str],
) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(pipeline):
            last = number == len(pipeline) - 1
            process = subprocess.Popen(
                command, stdin=source, stdout=sink if last else subprocess.PIPE, stderr=said, cwd=cwd, env=env
            )
            processes.append(process)
            if number:
                source.close()  # else its writer would not notice when its reader ends
            if process.stdout is not None:
                source = process.stdout
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for it; its CPU time in seconds, with that of its children."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


class _Peaks:
    """The high-water marks of processes, looked up now and then (they only rise).

    Not ``ru_maxrss``: that counts what a process inherited between fork and exec, and its children's memory.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._bytes = dict.fromkeys(pids, 0)
        self._children = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        for turn in itertools.count():
            if self._ended.wait(_POLL_SECONDS):
                return
            for pid, known in self._bytes.items():
                self._bytes[pid] = max(known, _peak(pid))
            if turn % _SHARES_EVERY == 0:
                shares = [_share(child) for pid in self._bytes for child in _children(pid)]
                self._children = max(self._children, sum(shares))

    @property
    def total(self) -> int:
        """All together."""
        return sum(self._bytes.values()) + self._children


def _children(pid: int) -> Sequence[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return ()


def _share(pid: int) -> int:
    """``Pss`` in bytes: what it shares with others counts in parts; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _peak(pid: int) -> int:
    """``VmHWM`` in bytes; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_of(pid: int) -> float:
    """User and system time so far, in seconds, with all processes below it, those that ended among them: a server may
    have others work for it."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                _, parent, *fields = _stat(directory)
                ticks[int(directory.name)] = sum(map(int, fields[9:13]))
                children.setdefault(int(parent), []).append(int(directory.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += ticks[one]
        waiting += children.get(one, [])
    return total / os.sysconf("SC_CLK_TCK")


def _stat(directory: Path) -> list[str]:
    """The fields of ``stat`` (proc(5)) behind the name, which may hold spaces."""
    return directory.joinpath("stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SHOWN_BYTES))
    return said.read().decode(errors="replace")

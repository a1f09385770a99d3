"""Commands as child processes, which outlive the scheduler should somebody kill it.

A child writes into memory that it shares with its parent, not into a pipe: when nobody reads any more, a backup must
go on all the same. It records itself, holds its own locks and tells people itself; the scheduler only watches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from drtool.config.masking import mask
from drtool.operations.unattended.attending.turn import ENTRY, HOOK, RUN, SLOT
from drtool.operations.unattended.scheduling.children import Call, Ended

#: How long (seconds) a child may take to end in good order before it is killed.
GRACE = 60.0
#: How often (seconds) children are looked at for their time limits, and where the system cannot wait for several.
_LOOK, _LOOK_OFTEN = 1.0, 0.2
_MOST_OUTPUT = 16_000_000
_MOST_TOLD = 4000


class ProcessLauncher:
    """Starts ``drtool --config FILE --json -q …`` with this interpreter."""

    def __init__(self, config: Path, environment: Mapping[str, str] = os.environ, grace: float = GRACE) -> None:
        self._command = [sys.executable, "-P", "-m", "drtool", "--config", str(config), "--json", "-q"]
        self._environment = environment
        self._grace = grace
        self._children: list[ProcessChild] = []

    def start(self, call: Call) -> ProcessChild:
        """Start a command in a process group of its own: a Ctrl-C in the terminal is for the scheduler to handle."""
        run = call.run
        own = {RUN: run.id, ENTRY: run.entry, SLOT: run.slot.isoformat() if run.slot is not None else ""}
        others = {name: value for name, value in self._environment.items() if name not in (*own, HOOK)}
        out, err = _memory(), _memory()
        process = subprocess.Popen(
            [*self._command, *call.arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=others | {name: value for name, value in own.items() if value},
            start_new_session=True,
        )
        child = ProcessChild(process, out, err, call.longest, self._grace)
        self._children.append(child)
        return child

    def wait(self, seconds: float) -> None:
        """Until one of the children ends, at most so long; less where a time limit has to be kept."""
        self._children = [child for child in self._children if child.is_running]
        with contextlib.ExitStack() as stack:
            waiting = select.poll()
            for child in self._children:
                if (descriptor := child.ending()) is None:
                    seconds = min(seconds, _LOOK_OFTEN)
                else:
                    stack.callback(os.close, descriptor)
                    waiting.register(descriptor, select.POLLIN)
                if child.has_limit:
                    seconds = min(seconds, _LOOK)
            waiting.poll(max(0.0, seconds) * 1000)


class ProcessChild:
    """A child process.

    Its time is counted by the monotonic clock, which stands still while the machine sleeps: a run that slept through
    its limit did not take long.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], out: IO[bytes], err: IO[bytes], longest: float | None, grace: float
    ) -> None:
        self._process = process
        self._out, self._err = out, err
        self._grace = grace
        self._limit = None if longest is None else time.monotonic() + longest
        self._too_long = False
        self._kill_at: float | None = None
        self._ended: Ended | None = None

    @property
    def is_running(self) -> bool:
        """Has nobody been told yet that it ended?"""
        return self._ended is None

    @property
    def has_limit(self) -> bool:
        """Has somebody to look whether its time is over?"""
        return self._limit is not None or self._kill_at is not None

    def ending(self) -> int | None:
        """A new descriptor that can be read once it has ended; None where the system has none."""
        try:
            return os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            return None

    def ended(self) -> Ended | None:
        """What is left of it; None while it runs."""
        if self._ended is None:
            code = self._process.poll()
            if code is None:
                self._keep_limits()
            else:
                self._ended = self._remains(code)
        return self._ended

    def stop(self) -> None:
        """SIGTERM; SIGKILL for its whole group after a while."""
        if self._kill_at is None and self._process.poll() is None:
            self._kill_at = time.monotonic() + self._grace
            self._process.send_signal(signal.SIGTERM)

    def _keep_limits(self) -> None:
        moment = time.monotonic()
        if self._kill_at is not None:
            if moment >= self._kill_at:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        elif self._limit is not None and moment >= self._limit:
            self._too_long = True
            self.stop()

    def _remains(self, code: int) -> Ended:
        error, snapshots = _result(_text(self._out, _MOST_OUTPUT))
        told = mask(_text(self._err, _MOST_TOLD)).strip()
        self._out.close()
        self._err.close()
        return Ended(
            exit_code=code if code >= 0 else 128 - code,
            signal=signal.Signals(-code).name if code < 0 else "",
            too_long=self._too_long,
            kind=error.get("kind", ""),
            message=mask(error.get("message", "")),
            hint=mask(error.get("hint", "")),
            snapshots=snapshots,
            told=told,
        )


def _memory() -> IO[bytes]:
    """A file without a name: in memory, where the system has that, because the disk may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("drtool"), "w+b")
    return tempfile.TemporaryFile()


def _text(file: IO[bytes], most: int) -> str:
    """The end of what was written into it."""
    size = os.fstat(file.fileno()).st_size
    data = os.pread(file.fileno(), most, max(0, size - most))
    return data.decode(errors="replace")


def _result(output: str) -> tuple[dict[str, str], dict[str, str]]:
    """The error of the result line, and the snapshots of the lines before it by job."""
    error: dict[str, str] = {}
    snapshots: dict[str, str] = {}
    for line in output.splitlines():
        try:
            fields: Any = json.loads(line)
        except json.JSONDecodeError:  # the first one may be cut
            continue
        match fields:
            case {"type": "backup", "job": str(job), "snapshot": str(snapshot)}:
                snapshots[job] = snapshot
            case {"type": "result", "error": {"kind": kind, "message": message, "hint": hint}}:
                error = {"kind": kind, "message": message, "hint": hint}
    return error, snapshots

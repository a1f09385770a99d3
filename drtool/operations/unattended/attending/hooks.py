"""The operator's commands around a run: argument lists, in a process group of their own, within a time limit."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from drtool.config.masking import mask
from drtool.errors import ExitCode, HookError, SkippedError

BEFORE, AFTER, ON_ERROR = "before", "after", "on_error"

#: How many bytes of a hook's output are kept, from its beginning and from its end.
HEAD, TAIL = 2000, 2000
#: How long (seconds) a hook may take to end once it was asked to.
GRACE = 5.0
#: How long (seconds) it is read on after a hook has ended while what it left running goes on writing.
_LEFTOVERS = 2.0


@dataclass(frozen=True, slots=True)
class HookDone:
    """A hook that was run. ``exit_code`` is None where it was ended for taking too long, negative for a signal;
    ``output`` is what it wrote, bounded and without the secrets that drtool knows."""

    hook: str
    program: str
    exit_code: int | None
    seconds: float
    output: str

    def as_figures(self) -> dict[str, object]:
        """For the run's record."""
        return {
            "hook": self.hook,
            "program": self.program,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "output": self.output,
        }


def run_hooks(
    hook: str,
    commands: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    limit: float,
    tell: Callable[[HookDone], None],
) -> None:
    """Run the commands of one kind (``before``, ``after``, ``on_error``) one after the other, each for at most `limit`
    seconds; `tell` is given each when it has ended.

    ``SkippedError`` for exit code 75 of one that comes before, ``HookError`` for any other failure; what comes after
    that one is not run.
    """
    for arguments in commands:
        done = run_hook(hook, arguments, environment, limit)
        tell(done)
        if done.exit_code == ExitCode.SKIPPED and hook == BEFORE:
            raise SkippedError(f"hook {hook}: {done.program} asks to skip this run" + _last_line(done.output))
        if done.exit_code is None:
            raise HookError(f"hook {hook}: {done.program} took longer than {limit:g} s and was ended")
        if done.exit_code < 0:
            raise HookError(f"hook {hook}: {done.program} was ended by {_signal(-done.exit_code)}")
        if done.exit_code:
            raise HookError(f"hook {hook}: {done.program} exited with {done.exit_code}" + _last_line(done.output))


def run_hook(hook: str, arguments: Sequence[str], environment: Mapping[str, str], limit: float) -> HookDone:
    """Run one; ``HookError`` where it cannot be started. Ended with everything it started where it takes too long, or
    where this process is asked to stop meanwhile."""
    program = Path(arguments[0]).name
    begun = time.monotonic()
    try:
        process = subprocess.Popen(
            list(arguments),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "an argument holds a character that none may hold"
        raise HookError(f"hook {hook}: cannot start {program}: {reason}") from None
    assert process.stdout is not None
    output = _Output(process.stdout)
    exit_code: int | None
    try:
        exit_code = process.wait(limit)
    except subprocess.TimeoutExpired:
        _end(process)
        exit_code = None
    except BaseException:
        _end(process)
        raise
    return HookDone(hook, program, exit_code, time.monotonic() - begun, mask(output.text()))


class _Output:
    """What comes out of a pipe, of which head and tail are kept. Read until its end even when nobody waits any more:
    whoever writes into it must not die of that."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._head = b""
        self._tail = b""
        self._left_out = 0
        self._is_over = False
        #: Held while something is taken out of the pipe and kept: with it, an empty pipe means that all is kept.
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="hook", daemon=True).start()

    def text(self) -> str:
        """What was kept of all that was written so far, with a word on what was not."""
        until = time.monotonic() + _LEFTOVERS
        while not self._is_taken() and time.monotonic() < until:
            time.sleep(0.002)
        with self._lock:
            head, tail, left_out = self._head, self._tail, self._left_out
        if left_out:
            # No word is cut in two: a mask does not know half a secret.
            head, tail = re.sub(rb"\S*\Z", b"", head), re.sub(rb"\A\S*", b"", tail)
            head += f"\n… {left_out} bytes left out …\n".encode()
        return (head + tail).decode("utf-8", "replace").strip()

    def _is_taken(self) -> bool:
        with self._lock:
            return self._is_over or not self._is_readable(0)

    def _is_readable(self, milliseconds: int | None) -> bool:
        waiting = select.poll()
        waiting.register(self._pipe, select.POLLIN)
        return bool(waiting.poll(milliseconds))

    def _read(self) -> None:
        with self._pipe:
            while not self._is_over:
                self._is_readable(None)
                with self._lock:
                    self._keep(os.read(self._pipe.fileno(), 65536))

    def _keep(self, piece: bytes) -> None:
        self._is_over = not piece
        room = HEAD - len(self._head)
        self._head += piece[:room]
        tail = self._tail + piece[room:]
        self._left_out += max(0, len(tail) - TAIL)
        self._tail = tail[-TAIL:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to end, and end it."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also where the leader has gone: what it started may not have listened.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f": {lines[-1][:200]}" if lines else ""

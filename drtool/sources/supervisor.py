"""Runs one server, and sees to it that the server and its directory go when whoever wanted them is gone.

A script of its own, without imports from drtool: ``python -I supervisor.py DIRECTORY PROGRAM ARGUMENT…``. Its stdin
is a pipe whose other end only the starter holds, so end of file there means that the starter closed it or died,
however it died and whichever of its threads started this. Then the server is killed and DIRECTORY removed. Should
this process be killed itself, the kernel kills the server (PR_SET_PDEATHSIG, Linux; safe here, where a single thread
starts it).

The file ``pid`` in DIRECTORY holds the server's process id; ``exit`` appears, with its exit status, when it ended by
itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _report_exit(server: subprocess.Popen[bytes], directory: Path) -> None:
    status = server.wait()
    with contextlib.suppress(FileNotFoundError):  # somebody else removed the directory
        directory.joinpath("exit").write_text(str(status), encoding="ascii")


def _write_whole(path: Path, text: str) -> None:
    """Readers find all of it or no file."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="ascii")
    partial.replace(path)


def main(directory: Path, command: list[str]) -> None:
    """Run `command` until stdin ends."""
    gone, to_gone = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(to_gone, b"x"))
    try:
        with directory.joinpath("output").open("wb") as output:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,  # safe: a single thread here
            )
        _write_whole(directory / "pid", str(server.pid))
        reporter = threading.Thread(target=_report_exit, args=(server, directory), daemon=True)
        reporter.start()
        select.select([sys.stdin.fileno(), gone], [], [])
        server.kill()
        reporter.join()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

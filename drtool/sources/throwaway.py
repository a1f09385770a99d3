"""A directory that goes when whoever made it is gone, however that happened."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drtool.errors import SourceError

#: What the helper's process runs: end of file on stdin means that whoever started it closed it, or died. Servers that
#: were started in the directory may write a little longer.
_KEEPER = """
import os, shutil, sys, time
sys.stdin.buffer.read()
for _ in range(20):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.lexists(sys.argv[1]):
        break
    time.sleep(0.5)
"""
_END_SECONDS = 60.0


@contextlib.contextmanager
def writing_in(directory: Path) -> Iterator[None]:
    """What the system says against writing below a temporary directory, as ``SourceError``."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"what waits in {directory} cannot be written: {error.strerror or error}",
            hint="Set TMPDIR to a directory that may be written and has room for the largest collections.",
        ) from error


@contextlib.contextmanager
def throwaway(parent: Path, prefix: str) -> Iterator[Path]:
    """A new directory below `parent`, removed at the end, also when this process is killed."""
    with writing_in(parent):
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    keeper = _keeper(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if keeper is not None:
            _end(keeper)


def _keeper(directory: Path) -> subprocess.Popen[bytes] | None:
    """Removes the directory once we are gone. None where none can be started (this account may not run the interpreter
    any more, say): then the directory goes at the end all the same, and only a kill leaves it."""
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
        )
    except OSError:
        return None


def _end(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    try:
        keeper.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()

"""A directory that goes when whoever made it is gone, however that happened."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: What the helper's process runs: end of file on stdin means that whoever started it closed it, or died.
_KEEPER = "import shutil, sys; sys.stdin.buffer.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
_END_SECONDS = 60.0


@contextlib.contextmanager
def throwaway(parent: Path, prefix: str) -> Iterator[Path]:
    """A new directory below `parent`, removed at the end, also when this process is killed."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _KEEPER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
    )
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        assert keeper.stdin is not None
        keeper.stdin.close()
        try:
            keeper.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()

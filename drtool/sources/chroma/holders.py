"""Who else has an embedded Chroma open: two engines on one directory overwrite each other's index."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from drtool.errors import RefusedError

_PROCESSES = Path("/proc")


def require_nobody(directory: Path) -> None:
    """``RefusedError`` where another process has a file below `directory` open.

    Linux tells; of other users' processes only to root. Elsewhere nothing is known, and nothing refused.
    """
    for pid, name in _holders(directory.resolve()):
        raise RefusedError(
            f"{directory} is open in process {pid} ({name}): two at once would overwrite each other's index",
            hint="Stop the application, or restore through its server: --to http://HOST:PORT.",
        )


def _holders(directory: Path) -> list[tuple[int, str]]:
    if not _PROCESSES.is_dir():
        return []
    found = []
    for process in _PROCESSES.iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if any(_is_below(link, directory) for link in (process / "fd").iterdir()):
                found.append(
                    (int(process.name), (process / "comm").read_text(encoding="utf-8", errors="replace").strip())
                )
    return found


def _is_below(link: Path, directory: Path) -> bool:
    try:
        return link.readlink().is_relative_to(directory)
    except OSError:  # closed meanwhile
        return False

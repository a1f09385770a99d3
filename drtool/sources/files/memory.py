"""Where listings lie: below a directory of this host, one directory for each reading, named by its token.

A reading's token is part of its `View.point`. A run keeps the listings of the snapshot that it starts from, and its
own; whatever else is there belongs to runs that committed nothing, or to snapshots that were followed by another.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from drtool.errors import SourceError

_TOKEN = re.compile(r"[0-9a-f]{32}")


def listing_path(reading: Path, stream: str) -> Path:
    """Where the listing of a stream is."""
    return reading / f"{hashlib.sha256(stream.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.listing"


class Memory:
    """The readings that this host remembers in `directory`; those of this run alone where it is None."""

    def __init__(self, directory: Path | None) -> None:
        self._own = None
        if directory is None:
            self._own = tempfile.TemporaryDirectory(prefix="drtool-files-")
            directory = Path(self._own.name)
        self._directory = directory

    def begin(self) -> str:
        """A new reading; its token."""
        token = secrets.token_hex(16)
        try:
            self.of(token).mkdir(mode=0o700)
        except OSError as error:
            raise SourceError(f"{self.of(token)} cannot be made: {error.strerror or error}") from error
        return token

    def of(self, token: str) -> Path:
        """The directory of a reading, whether it is there or not."""
        return self._directory / (token if _TOKEN.fullmatch(token) else "none")

    def forget_all_but(self, token: str) -> None:
        """What other readings left is of no use to anybody."""
        for each in self._directory.iterdir():
            if each.name != token and _TOKEN.fullmatch(each.name):
                shutil.rmtree(each, ignore_errors=True)

    def forget(self, token: str) -> None:
        """A reading that nobody goes on from."""
        shutil.rmtree(self.of(token), ignore_errors=True)

    def close(self) -> None:
        """What is of this run alone goes."""
        if self._own is not None:
            self._own.cleanup()

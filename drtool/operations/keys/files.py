"""Key files: written once, for their owner alone; read as they were typed."""

from __future__ import annotations

import os
from pathlib import Path

from drtool.errors import KeyFileError, RefusedError, StorageError


def require_free(path: Path) -> None:
    """``RefusedError`` where there is something already: a key that is overwritten may be the last of its kind."""
    if os.path.lexists(path):  # also a link that leads nowhere
        raise RefusedError(f"{path} exists already", hint="Move it away, or name another file.")


def write_key(path: Path, text: str) -> None:
    """A new file that its owner alone can read, on the disk when this returns.

    ``RefusedError`` where there is one; ``StorageError`` where it cannot be written, and then nothing is left of it.
    """
    try:
        # The directory above is not made: a medium that is not mounted should be noticed.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        require_free(path)
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def read_key(path: Path) -> str:
    """The text of a key file; ``KeyFileError`` where it cannot be read."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is not text in UTF-8, so it is no key file") from None

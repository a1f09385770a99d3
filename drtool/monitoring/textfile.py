"""Writing for the node exporter's textfile collector, which may read at any moment."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from drtool.errors import MetricsError

_MODE = 0o644


def write_textfile(path: Path, text: str) -> None:
    """Replace the file at once; readable for everybody, since the exporter runs as somebody else.

    ``MetricsError`` where that fails; then the file is as it was.
    """
    try:
        # What does not end with .prom the exporter passes over.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), _MODE)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


def amend_textfile(path: Path, metric: str, value: int) -> None:
    """Put this value in place of every one that the file has of a metric; the rest stays. Errors as for
    `write_textfile`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise MetricsError(f"cannot read the metrics in {path}: {getattr(error, 'strerror', error)}") from error
    amended = re.sub(rf"^({re.escape(metric)}(?:\{{.*\}})?) \S+$", rf"\g<1> {value}", text, flags=re.MULTILINE)
    if amended != text:
        write_textfile(path, amended)


def _unwritable(path: Path, error: OSError) -> MetricsError:
    hint = "Is the disk full, or the directory another user's?"
    if isinstance(error, FileNotFoundError):
        hint = f"Make the directory {path.parent}, or name the one that the node exporter reads as metrics.textfile."
    return MetricsError(f"cannot write the metrics to {path}: {error.strerror or error}", hint=hint)

"""Which collections a restore is making, in a file beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from drtool.errors import SourceError
from drtool.sources.qdrant.stores import MARKER


class MarkFile:
    """A file of the name ``.drtool-restore`` in a directory: names of collections by a restore's marker."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / f".{MARKER}"

    def read(self) -> Mapping[str, Sequence[str]]:
        """Nothing where there is none."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SourceError(f"the mark of a restore cannot be read: {error}", hint=f"Remove {self._path}.") from error
        return {str(marker): list(map(str, names)) for marker, names in found.items()}

    def write(self, marks: Mapping[str, Sequence[str]]) -> None:
        """Whole or not at all."""
        try:
            if not marks:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_suffix(".tmp")
            with beside.open("w", encoding="utf-8") as file:
                json.dump(marks, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise SourceError(f"the mark of a restore cannot be written: {error}") from error

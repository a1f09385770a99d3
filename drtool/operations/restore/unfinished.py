"""Restores in place that did not end, as this host remembers them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from drtool.errors import RepositoryError


class Unfinished:
    """By source and stream, the snapshot that holds what was there before a restore in place that did not end: a file
    for each source.

    What a later attempt finds there, and saves, is the half of two things.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def earliest(self, source: str, streams: Iterable[str], there: Collection[str]) -> str:
        """The oldest snapshot, of those still `there`, that holds what was there of these streams; empty where none is
        noted."""
        noted = self._noted(source)
        return min((noted[name] for name in streams if noted.get(name) in there), default="")

    def note(self, source: str, streams: Iterable[str], snapshot: str) -> None:
        """Remember it from here on, for those of which nothing is remembered yet."""
        self._put(source, dict.fromkeys(streams, snapshot) | self._noted(source))

    def forget(self, source: str, streams: Collection[str]) -> None:
        """What was begun has ended."""
        noted = self._noted(source)
        self._put(source, {name: snapshot for name, snapshot in noted.items() if name not in streams})

    def _noted(self, source: str) -> dict[str, str]:
        try:
            found = json.loads((self._directory / source).read_text(encoding="utf-8"))
            return {str(name): str(snapshot) for name, snapshot in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise self._trouble("read", source, error) from error

    def _put(self, source: str, noted: Mapping[str, str]) -> None:
        path = self._directory / source
        try:
            if not noted:
                path.unlink(missing_ok=True)
                return
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = path.with_name(f"{source}.partial")
            with partial.open("w", encoding="utf-8") as file:
                json.dump(noted, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise self._trouble("write", source, error) from error

    def _trouble(self, doing: str, source: str, error: Exception) -> RepositoryError:
        path = self._directory / source
        return RepositoryError(
            f"cannot {doing} {path}, which says what was there before a restore in place: {error}",
            hint=f"Mend it or, where every restore in place of {source} has ended, remove it.",
        )

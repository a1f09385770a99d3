"""A repository whose job has a history, and hosts that look at it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.storage.directory import DirectoryStorage
from tests.operations.retention.history import History, begin
from tests.repository.builders import make
from tests.repository.conftest import made

__all__ = ["made"]


@pytest.fixture(scope="session")
def shelf() -> Iterator[History]:
    """Eight days of snapshots, made once."""
    with tempfile.TemporaryDirectory(prefix="drtool-retention-") as path:
        yield begin(make(Path(path)))


@pytest.fixture
def history(shelf: History, tmp_path: Path) -> Iterator[History]:
    """A copy that a test may change."""
    with ExitStack() as stack:
        yield copied(shelf, tmp_path, stack)


def copied(shelf: History, directory: Path, stack: ExitStack) -> History:
    """The same repository once more; what it opens is closed with `stack`."""
    shutil.copytree(shelf.made.storage.url, directory / "repository")
    shutil.copytree(shelf.made.local, directory / "local")
    storage = DirectoryStorage(directory / "repository")
    return replace(shelf, made=replace(shelf.made, storage=storage, local=directory / "local"), stack=stack)

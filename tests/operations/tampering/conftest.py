"""Fixtures: a repository with every kind of object, and another one that holds the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.operations.tampering.scene import Scene, set_up


@pytest.fixture(autouse=True)
def one_fetcher() -> Iterator[None]:
    """A thread for each of many small files costs more than it saves."""
    with mock.patch("drtool.repository.repository.FETCHERS", 1):
        yield


@pytest.fixture(scope="session")
def template() -> Iterator[Scene]:
    """What nobody has harmed."""
    with tempfile.TemporaryDirectory(prefix="drtool-test-", ignore_cleanup_errors=True) as path:
        yield set_up(Path(path))


@pytest.fixture(scope="session")
def foreign() -> Iterator[Scene]:
    """Another repository that holds the same."""
    with tempfile.TemporaryDirectory(prefix="drtool-test-", ignore_cleanup_errors=True) as path:
        yield set_up(Path(path))


@pytest.fixture
def scene(template: Scene, tmp_path: Path) -> Scene:
    """A copy to harm."""
    return template.copied(tmp_path)

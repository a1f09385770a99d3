"""Fixtures: repositories with content to harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.fast import fast_directory
from tests.repository.conftest import made, template, victim

__all__ = ["made", "template", "victim"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory of the test's own."""
    with fast_directory() as path:
        yield path

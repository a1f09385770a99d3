"""A repository to clean up, with small packs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.prune.shelves import small_packs
from tests.repository.builders import Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A fresh, empty repository."""
    return make(tmp_path)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_packs():
        yield

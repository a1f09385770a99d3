"""A host with a repository that holds two snapshots, and a place for a second one. No server is asked for anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.copy.places import FIRST, SECOND, Place, make_place
from tests.repository.builders import backup


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Place]:
    """Two hosts, made once: one with an empty repository, one with two snapshots."""
    empty = make_place(tmp_path_factory.mktemp("empty") / "host")
    filled = Place(empty.site.copied(tmp_path_factory.mktemp("filled") / "host"), Path())
    with filled.site.opened() as repository:
        for streams in (FIRST, SECOND):
            backup(repository, streams)
    return empty, filled


@pytest.fixture
def empty(templates: tuple[Place, Place], tmp_path: Path) -> Place:
    """A host with an empty repository."""
    return Place(templates[0].site.copied(tmp_path / "host"), tmp_path / "second")


@pytest.fixture
def place(templates: tuple[Place, Place], tmp_path: Path) -> Place:
    """A host with two snapshots, of which the second adds little."""
    return Place(templates[1].site.copied(tmp_path / "host"), tmp_path / "second")

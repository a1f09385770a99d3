"""A repository with a snapshot in it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.operations.keys.places import stream
from tests.repository.builders import Made, backup, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A repository with one snapshot, of ``stream(1)``."""
    made = make(tmp_path)
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(1)])
    return made

"""Fixtures: a repository in a directory, and one with content to attack."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.repository.evidence import record
from drtool.repository.levels import Level
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import (
    Made,
    backup,
    make,
)
from tests.repository.victims import STREAMS, evidence_of


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A fresh, empty repository."""
    return make(tmp_path)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A repository with two snapshots and evidence, made once."""
    made = make(tmp_path_factory.mktemp("template"))
    agent = made.as_agent()
    first = backup(agent, STREAMS)
    backup(agent, [replace(STREAMS[0], chunks=(*STREAMS[0].chunks[:-1], b"PLAINTEXT-OF-A-RECORD, changed"))])
    owner = made.as_owner()
    record(owner, evidence_of(first.hash, Level.READABLE), owner.signer)
    for repository in (agent, owner):
        repository.close()
    return made


@pytest.fixture
def victim(template: Made, tmp_path: Path) -> Made:
    """A copy of the template that a test may harm."""
    root = Path(template.storage.url)
    shutil.copytree(root, tmp_path / "repository")
    shutil.copytree(template.local, tmp_path / "local")
    return replace(template, storage=DirectoryStorage(tmp_path / "repository"), local=tmp_path / "local")

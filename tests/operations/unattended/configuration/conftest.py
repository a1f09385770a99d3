"""Hosts whose configuration gets broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitoring.targets import providers
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.unattended.attended_host import AttendedHost
from tests.operations.unattended.configuration.calling import CalledHost


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiving(providers.alertmanager) as receiver:
        yield receiver


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host as it is set up, to be copied."""
    return AttendedHost(tmp_path_factory.mktemp("host")).set_up().directory


@pytest.fixture
def fresh(template: Path, tmp_path: Path, ops: Receiver) -> CalledHost:
    """One that ``schedule run`` was never called on."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return CalledHost(AttendedHost(tmp_path), ops).write()


@pytest.fixture
def host(fresh: CalledHost) -> CalledHost:
    """One whose configuration was used at 16:00."""
    assert fresh.call("20 16:00") is None
    return fresh

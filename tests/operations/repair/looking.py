"""Verifying all snapshots of a repository, for tests that harm it."""

from __future__ import annotations

import contextlib
from unittest import mock

from drtool.operations.budget import Budget
from drtool.operations.reporting import Silent
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verification, Verifier
from drtool.repository.chain import read_catalogue
from drtool.repository.levels import Level
from drtool.repository.repository import Repository


def verified(repository: Repository, level: Level) -> list[Verification]:
    """What verifying each snapshot shows; brings the index up to date first."""
    repository.refresh_index()
    budget = Budget(1, 1, 1, 8_000_000, 8_000_000)
    with contextlib.closing(Verifier(repository, budget, Silent(), mock.Mock())) as verifier:
        return [verifier.verify(snapshot, level, Sample()) for snapshot in read_catalogue(repository).snapshots]

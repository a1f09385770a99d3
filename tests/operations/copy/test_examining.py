"""What doctor says of a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drtool.config.loading import load_config
from drtool.errors import RepositoryMissingError
from drtool.operations.copy.examining import examine_copy
from drtool.operations.doctor.findings import Finding, Verdict
from tests.operations.copy.places import FIRST, Place
from tests.repository.builders import backup


def _said(place: Place) -> Finding:
    site = replace(place.site, repository={"copies": [{"url": str(place.second)}]}).write_config()
    settings = load_config(site.config).repository
    [finding] = examine_copy(settings, settings.copies[0])
    assert finding.check == f"copy {place.second}"
    return finding


def test_what_it_is_like(place: Place) -> None:
    with pytest.raises(RepositoryMissingError, match="there is no repository"):
        _said(place)
    place.copied("--create")
    assert _said(place).verdict is Verdict.OK
    assert "2 of 2 snapshots" in _said(place).message
    with place.site.opened() as repository:
        newest = backup(repository, FIRST).id
    # Ids tell the second only: it may be any of those of one second.
    finding = _said(place)
    assert "2 of 3 snapshots" in finding.message or (finding.verdict, newest in finding.message) == (
        Verdict.WARNING,
        True,
    )

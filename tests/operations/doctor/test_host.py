"""What doctor says of the host itself."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from drtool.config.repository import RepositorySettings
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.operations.doctor.host import examine_host

_Usage = namedtuple("_Usage", "total used free")


def _found(directory: Path) -> dict[str, Finding]:
    settings = RepositorySettings(url="/srv/backups", state_dir=directory / "state", cache_dir=directory / "cache")
    return {finding.check: finding for finding in examine_host(settings)}


def test_a_host_that_has_what_it_takes(tmp_path: Path) -> None:
    found = _found(tmp_path)
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert set(found) == {"packages", "state directory", "cache directory"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = _found(tmp_path / "file")
    assert found["state directory"].verdict is Verdict.FAILED
    assert "repository.state_dir" in found["state directory"].hint
    assert "repository.cache_dir" in found["cache directory"].hint


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Usage(10**12, 10**12, 10**8))
    found = _found(tmp_path)
    assert found["state directory"].verdict is Verdict.WARNING
    assert found["state directory"].message.startswith("0.1 GB free")


def test_a_package_that_another_one_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.requires("drtool") or []
    monkeypatch.setattr(
        "drtool.operations.doctor.host.requires", lambda _name: [*real, "click<1", "no-such-package>=2; extra == 'x'"]
    )
    packages = _found(tmp_path)["packages"]
    assert packages.verdict is Verdict.FAILED
    assert packages.message.startswith("click is ")
    assert "no-such-package" not in packages.message

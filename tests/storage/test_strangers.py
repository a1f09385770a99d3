"""What others leave in a store under names that no object has: listings do not tell of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drtool.errors import PermissionDeniedError
from drtool.storage.directory import DirectoryStorage
from drtool.storage.s3 import S3Storage

NAMES = ("snapshots/.DS_Store", "Thumbs.db", "My Files/a", "snapshots/Ü")


def test_in_a_directory(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path / "repository")
    storage.put("snapshots/a", b"1")
    for name in (*NAMES, os.fsdecode(b"snapshots/\xff")):
        path = tmp_path / "repository" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"stray")
    assert [info.name for info in storage.list()] == ["snapshots/a"]
    assert [info.name for info in storage.list("snapshots/")] == ["snapshots/a"]
    assert [info.name for info in storage.list_versions()] == ["snapshots/a"]


@pytest.mark.parametrize("versions", [False, True])
def test_in_a_bucket(s3_storage: Callable[..., S3Storage], versions: bool) -> None:
    storage = s3_storage("moto", versions=versions)
    storage.put("snapshots/a", b"1")
    for name in ("", "snapshots/", *NAMES):
        storage._client.put_object(Bucket=storage._bucket, Key=f"some/Prefix/{name}", Body=b"stray")
    storage._client.delete_object(Bucket=storage._bucket, Key="some/Prefix/Thumbs.db")
    assert [info.name for info in storage.list()] == ["snapshots/a"]
    assert [info.name for info in storage.list("snapshots/")] == ["snapshots/a"]
    assert [info.name for info in storage.list_versions()] == ["snapshots/a"]


def test_a_file_that_may_not_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path / "repository")
    for name in "abc":
        storage.put(name, b"1")
    refuse_to_open(monkeypatch, tmp_path / "repository" / "b")
    assert [(info.name, info.size) for info in storage.list()] == [("a", 1), ("b", 1), ("c", 1)]
    with pytest.raises(PermissionDeniedError):
        storage.get("b")


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, refused: Path) -> None:
    """As mode 0 would, which does not hold root back."""
    real = os.open

    def open_(path: str | Path, *arguments: int) -> int:
        if Path(path) == refused:
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", open_)

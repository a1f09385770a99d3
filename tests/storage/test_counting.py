"""The requests that are counted on a directory are those that S3 gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.errors import ObjectMissingError
from drtool.storage.base import Storage
from drtool.storage.counting import RequestCount
from drtool.storage.directory import DirectoryStorage
from drtool.storage.s3 import S3Storage
from tests.storage.conftest import OpenStore


def _use(storage: Storage) -> None:
    for number in range(3):
        storage.put(f"packs/{number}", b"x" * 100, if_absent=True)
    assert len(list(storage.list("packs/"))) == 3
    assert list(storage.list("leases/")) == []
    assert storage.get("packs/1", offset=10, length=20) == b"x" * 20
    with pytest.raises(ObjectMissingError):
        storage.get("packs/missing")
    storage.head("packs/2")
    storage.delete("packs/2")
    storage.now()
    for _ in range(2):
        storage.keeps_versions()


def test_counts_what_s3_gets(open_store: OpenStore, tmp_path: Path) -> None:
    sent: list[str] = []
    s3 = open_store("moto-http")
    assert isinstance(s3, S3Storage)
    s3._client.meta.events.register("before-send.s3.*", lambda request, **_: sent.append(request.method))
    _use(s3)
    count = RequestCount()
    _use(count.of(DirectoryStorage(tmp_path / "repository")))
    assert count.requests == len(sent)
    assert count.kinds["list"] == 2


@pytest.mark.parametrize(("objects", "requests"), [(0, 1), (1000, 1), (1001, 2)])
def test_a_listing_takes_a_request_for_each_thousand(tmp_path: Path, objects: int, requests: int) -> None:
    directory = tmp_path / "repository" / "evidence"
    directory.mkdir(parents=True)
    for number in range(objects):
        (directory / f"{number:04}").touch()
    count = RequestCount()
    assert len(list(count.of(DirectoryStorage(tmp_path / "repository")).list("evidence/"))) == objects
    assert count.kinds == {"list": requests}

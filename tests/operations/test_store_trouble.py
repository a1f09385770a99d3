"""The store is not there, takes nothing, or is full."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from drtool.storage.base import ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.operations.site import Site, fill, small_packs
from tests.sources.mongo import Client

Mount = Callable[[str], AbstractContextManager[Path]]


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    """Mounts a file system in memory of a size, and takes it away again."""

    @contextmanager
    def mounted(options: str) -> Iterator[Path]:
        directory = tmp_path / "disk"
        directory.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"cannot mount here: {done.stderr}")
        try:
            yield directory
        finally:
            subprocess.run(["umount", "-l", directory], check=True)

    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount")
    return mounted


def _remount(directory: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", directory], check=True)


def test_the_repository_is_not_there(site: Site, database: str) -> None:
    shutil.rmtree(site.store)
    for arguments in (("backup",), ("snapshots",), ("verify",), ("restore", "latest")):
        ended = site.drtool(*arguments)
        assert (ended.code, ended.result["error"]["kind"]) == (1, "repository-missing")
        assert "drtool init" in ended.result["error"]["hint"]
    assert not site.store.exists()


def test_the_disk_is_not_mounted(tmp_path: Path, uri: str, database: str) -> None:
    (tmp_path / "disk").mkdir()
    site = Site(tmp_path, uri, {"nightly": (database,)}, url=str(tmp_path / "disk" / "repo")).set_up()
    shutil.rmtree(tmp_path / "disk")
    ended = site.drtool("backup")
    assert (ended.code, ended.result["error"]["kind"]) == (1, "bucket-missing")
    assert "mounted" in ended.result["error"]["hint"]
    assert not (tmp_path / "disk").exists()


def test_full(mount: Mount, tmp_path: Path, uri: str, client: Client, database: str) -> None:
    fill(client, database, megabytes=1, seed=1)
    with mount("size=6m") as disk, small_packs():
        site = Site(tmp_path, uri, {"nightly": (database,)}, url=str(disk / "repo")).set_up()
        first = site.backup()["snapshot"]
        for collection in ("c2", "c3", "c4"):
            client[database][collection].insert_many([{"x": os.urandom(10_000)} for _ in range(300)])
        ended = site.drtool("backup")
        assert (ended.code, ended.result["error"]["kind"]) == (1, "storage-full"), ended.err
        assert "No space left" in ended.result["error"]["message"]
        assert site.snapshots() == [first]
        # What was committed can be checked and restored even so.
        restored = site.drtool("restore", "latest", "--rename", f"{database}={database}_full")
        assert restored.code == 0, restored.err
        _remount(disk, "size=40m")
        assert site.ok("verify", "--level", "readable")[0]["ok"]
        again = site.backup()
        assert again["bytes"]["new"] < again["bytes"]["read"] - 2_000_000  # of the run that failed, too
        assert [line["ok"] for line in site.ok("verify", "--level", "readable")[:-1]] == [True, True]


def test_read_only(mount: Mount, tmp_path: Path, uri: str, client: Client, database: str) -> None:
    fill(client, database)
    with mount("size=20m") as disk:
        site = Site(tmp_path, uri, {"nightly": (database,)}, url=str(disk / "repo")).set_up()
        site.backup()
        _remount(disk, "ro")
        ended = site.drtool("backup")
        assert (ended.code, ended.result["error"]["kind"]) == (1, "permission-denied")
        assert str(disk) in ended.result["error"]["message"]
        # Reading goes on.
        assert len(site.snapshots()) == 1
        restored = site.drtool("restore", "latest")
        assert (restored.code, restored.result["records"]) == (0, 24)
        assert "do not prune" in restored.err


def test_the_local_state_cannot_be_kept(site: Site, database: str) -> None:
    (site.directory / "state").write_text("a file")
    ended = site.drtool("backup")
    assert ended.code == 1
    assert str(site.directory / "state") in ended.result["error"]["message"]
    assert not site.objects("snapshots")


@contextlib.contextmanager
def _filling(disk: Path, moment: str) -> Iterator[None]:
    """Leave no room on a disk as soon as an object whose name begins so has been put into the store."""
    real = DirectoryStorage.put

    def put(self: DirectoryStorage, name: str, data: Any, **conditions: Any) -> ObjectInfo:
        info = real(self, name, data, **conditions)
        if name.startswith(moment):
            with (disk / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
        return info

    with mock.patch.object(DirectoryStorage, "put", put):
        yield


@pytest.mark.parametrize("place", ["state_dir", "cache_dir"])
def test_no_room_for_local_files(
    mount: Mount, tmp_path: Path, uri: str, client: Client, database: str, place: str
) -> None:
    fill(client, database, megabytes=0.05)
    with mount("size=512k") as disk:
        site = Site(tmp_path, uri, {"nightly": (database,)}, repository={place: str(disk)}).set_up()
        first = site.backup()["snapshot"]
        codes = []
        for moment in ("runs/", "packs/"):
            client[database].c0.insert_many([{"x": os.urandom(100_000)} for _ in range(20)])
            with _filling(disk, moment):
                ended = site.drtool("backup")
            codes.append(ended.code)
            if ended.code != 0:
                assert (ended.code, ended.result["error"]["kind"]) == (1, "repository"), ended.err
                assert str(disk) in ended.result["error"]["message"]
            (disk / "ballast").unlink()
        assert 1 in codes
        second = site.backup()["snapshot"]
        assert {first, second} <= set(site.snapshots())
        assert all(line["ok"] for line in site.ok("verify", "--level", "readable")[:-1])

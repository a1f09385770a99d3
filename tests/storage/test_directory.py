"""DirectoryStorage: durable, whole or not at all, and honest about what goes wrong."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drtool.errors import (
    BucketMissingError,
    CorruptAnswerError,
    ObjectMissingError,
    PermissionDeniedError,
    StorageError,
    StorageFullError,
)
from drtool.storage.directory import STALE_AFTER, DirectoryStorage
from tests.servers.process import ROOT, wait_until

WRITER = """
import hashlib, os, sys
from drtool.storage.directory import DirectoryStorage
storage = DirectoryStorage(sys.argv[1])
while True:
    content = os.urandom(2_000_000)
    storage.put("packs/" + hashlib.sha256(content).hexdigest(), content, if_absent=True)
    storage.put("state", content)
"""

RACER = """
import sys
from drtool.errors import PreconditionFailedError
from drtool.storage.directory import DirectoryStorage
storage = DirectoryStorage(sys.argv[1])
sys.stdin.readline()
for number in range(200):
    try:
        storage.put(f"object/{number:03}", sys.argv[2].encode(), if_absent=True)
        print(number)
    except PreconditionFailedError:
        pass
"""


def test_killed_writer_leaves_whole_objects_only(tmp_path: Path) -> None:
    path = tmp_path / "repository"
    storage = DirectoryStorage(path)
    for _ in range(6):
        before = sum(1 for _ in storage.list("packs/"))
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT)
        try:
            wait_until(lambda before=before: sum(1 for _ in storage.list("packs/")) > before, "a first object")  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.05))
        finally:
            process.kill()
            process.wait()
        for info in storage.list("packs/"):
            assert hashlib.sha256(storage.get(info.name)).hexdigest() == info.name.removeprefix("packs/")
        if any(info.name == "state" for info in storage.list()):
            assert storage.head("state").size == 2_000_000


def test_stale_remains_are_cleared(tmp_path: Path) -> None:
    incoming = tmp_path / "repository" / "+incoming"
    incoming.mkdir(parents=True)
    for name, age in (("old", STALE_AFTER + 60), ("young", STALE_AFTER - 600)):
        (incoming / name).write_bytes(b"remains")
        os.utime(incoming / name, (time.time() - age,) * 2)
    DirectoryStorage(tmp_path / "repository").put("object", b"content")
    assert [path.name for path in incoming.iterdir()] == ["young"]


def test_two_processes_race_to_create(tmp_path: Path) -> None:
    path = str(tmp_path / "repository")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, path, name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [set(map(int, racer.communicate()[0].split())) for racer in racers]
    assert not won[0] & won[1]
    assert won[0] | won[1] == set(range(200))
    storage = DirectoryStorage(path)
    for name, numbers in zip((b"a", b"b"), won, strict=True):
        assert all(storage.get(f"object/{number:03}") == name for number in numbers)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "4m"):
        storage = DirectoryStorage(disk / "repository")
        storage.put("object", b"old")
        for name, if_absent in (("object", False), ("new", True)):
            with pytest.raises(StorageFullError, match="No space left"):
                storage.put(name, bytes(8 << 20), if_absent=if_absent)
        assert storage.get("object") == b"old"
        assert [info.name for info in storage.list()] == ["object"]
        assert list((disk / "repository" / "+incoming").iterdir()) == []
        storage.put("small", bytes(1 << 20))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_read_only_directory() -> None:
    with tempfile.TemporaryDirectory() as above:
        path = Path(above)
        storage = DirectoryStorage(path / "repository")
        storage.put("object", b"content")
        path.chmod(0o755)
        for directory in (path / "repository", path / "repository" / "+incoming"):
            directory.chmod(0o555)
        for file in (path / "repository" / "object", path / "repository" / "+lock"):
            file.chmod(0o444)
        with as_nobody():
            storage = DirectoryStorage(path / "repository")
            assert storage.get("object") == b"content"
            with pytest.raises(PermissionDeniedError, match="Permission denied"):
                storage.put("another", b"content")
            with pytest.raises(PermissionDeniedError):
                storage.delete("object")
            assert storage.now().tzinfo is not None
        for directory in (path / "repository", path / "repository" / "+incoming"):
            directory.chmod(0o755)


def test_parent_must_exist(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path / "no" / "repository")
    for call in (
        lambda: storage.put("object", b""),
        lambda: storage.get("object"),
        lambda: storage.head("object"),
        storage.list,
        lambda: storage.delete("object"),
        storage.now,
        storage.probe,
    ):
        with pytest.raises(BucketMissingError, match="no directory"):
            call()


def test_modes(tmp_path: Path) -> None:
    DirectoryStorage(tmp_path / "repository").put("a/b/c", b"")
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "repository").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
    assert (tmp_path / "repository").stat().st_mode & 0o777 == 0o700


def test_wrong_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptAnswerError):
        DirectoryStorage(tmp_path / "repository").put("object", b"a", sha256=hashlib.sha256(b"b").digest())


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "A", "a b", "+lock", "a\n", "ä"])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    storage = DirectoryStorage(tmp_path)
    with pytest.raises(StorageError, match="not a valid"):
        storage.put(name, b"")
    with pytest.raises(StorageError, match="not a valid"):
        storage.get(name)


def test_name_that_is_a_directory(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path / "repository")
    storage.put("a/b", b"")
    with pytest.raises(ObjectMissingError):
        storage.get("a")
    with pytest.raises(StorageError):
        storage.put("a", b"")
    with pytest.raises(StorageError):
        storage.put("a/b/c", b"")
    assert list((tmp_path / "repository" / "+incoming").iterdir()) == []

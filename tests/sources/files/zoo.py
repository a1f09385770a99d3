"""Trees with whatever is awkward in one, and what is to be found in them, found without drtool."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import bson
import pytest

PART = 1024 * 1024
IS_ROOT = os.geteuid() == 0
#: 2001-09-09, with nanoseconds.
LONG_AGO = 1_000_000_000_123_456_789


def fill(root: Path) -> None:
    """A tree of several megabytes."""
    chance = random.Random(7)
    for name in ("a", "a-b", "a/b", "empty", "many", "sub dir"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "a" / "z").write_bytes(b"z")
    (root / "a.txt").write_bytes(b"sorts between a and a/z by its characters alone")
    (root / "a-b" / "none").write_bytes(b"")
    (root / ".env").write_text("PASSWORD=never-shown-anywhere\n")
    (root / "zeros").write_bytes(bytes(3000))
    for number in range(40):
        (root / "many" / f"{number:03}").write_bytes(chance.randbytes(chance.randint(0, 40_000)))
    (root / "large").write_bytes(chance.randbytes(2 * PART + 12345))
    (root / "exactly").write_bytes(chance.randbytes(PART))
    (root / "zeros within").write_bytes(chance.randbytes(PART) + bytes(PART) + chance.randbytes(5))
    _make_sparse(root / "sparse", chance)
    _make_names(root)
    _make_links(root)
    os.mkfifo(root / "pipe", 0o640)
    with contextlib.suppress(OSError):
        os.setxattr(root / "a", "user.color", b"blue")
        os.setxattr(root / "a.txt", "user.color", b"\0\xff")
    _make_privileged(root)
    (root / "a.txt").chmod(0o4755)
    (root / "a" / "b").chmod(0o2750)
    (root / "empty").chmod(0o500)
    os.utime(root / "a.txt", ns=(LONG_AGO, LONG_AGO))
    os.utime(root / "a", ns=(LONG_AGO, LONG_AGO))
    os.utime(root, ns=(LONG_AGO, LONG_AGO))


def _make_sparse(path: Path, chance: random.Random) -> None:
    with path.open("wb") as file:
        file.truncate(10 * PART)
        file.seek(5 * PART + 8192)
        file.write(chance.randbytes(100_000))
        file.seek(10 * PART - 3)
        file.write(b"end")
    with path.with_name("sparse and short").open("wb") as file:
        file.truncate(200_000)
        file.seek(100_000)
        file.write(b"middle")
    with path.with_name("only a hole").open("wb") as file:
        file.truncate(3 * PART)


def _make_names(root: Path) -> None:
    for name in (b"\xff\xfe not UTF-8", b"new\nline", b" ", b"--rf", "Grüße".encode(), b"x" * 255):
        (root / "sub dir" / os.fsdecode(name)).write_bytes(name)


def _make_links(root: Path) -> None:
    (root / "to nowhere").symlink_to("no/such/thing")
    (root / "to the outside").symlink_to("/etc/passwd")
    (root / "to a directory").symlink_to("a")
    (root / "sub dir" / "hard").hardlink_to(root / "a" / "z")
    (root / "zz hard").hardlink_to(root / "a" / "z")


def _make_privileged(root: Path) -> None:
    """What only root can make, and not in every container."""
    if IS_ROOT:
        os.chown(root / "many" / "000", 12345, 54321)
        os.chown(root / "to nowhere", 12345, 54321, follow_symlinks=False)
        with contextlib.suppress(PermissionError):
            os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))


def bind_socket(path: Path) -> None:
    """A socket, which no backup can keep. Its path may be longer than an address may be."""
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def change(root: Path) -> None:
    """Change, add, remove and replace."""
    (root / "many" / "003").write_bytes(b"changed")
    (root / "many" / "new").write_bytes(b"added")
    (root / "many" / "004").unlink()
    with (root / "large").open("r+b") as file:
        file.seek(PART)
        file.write(b"in the middle")


def listing(root: Path) -> list[bytes]:
    """The records that a tree should have, in order."""
    found = {}
    firsts: dict[int, bytes] = {}
    for path in sorted(_names(root), key=lambda one: one.replace(b"/", b"\0")):
        found[path] = list(_records(os.fsencode(root / os.fsdecode(path)), path, firsts))
    return [record for records in found.values() for record in records]


def _names(root: Path) -> Iterator[bytes]:
    yield b""
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            yield os.fsencode(Path(directory, name).relative_to(root))


def _records(full: bytes, path: bytes, firsts: dict[int, bytes]) -> Iterator[bytes]:
    found = os.lstat(full)
    if stat.S_ISSOCK(found.st_mode):
        return
    if stat.S_ISREG(found.st_mode) and firsts.setdefault(found.st_ino, path) != path:
        yield bson.encode({"_id": path, "type": "link", "target": firsts[found.st_ino]})
        return
    document: dict[str, Any] = {
        "_id": path,
        "type": _type(found.st_mode),
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime": found.st_mtime_ns,
    }
    if stat.S_ISLNK(found.st_mode):
        yield bson.encode(document | {"target": os.fsencode(Path(os.fsdecode(full)).readlink())})
        return
    if stat.S_ISCHR(found.st_mode):
        document |= {"device": [os.major(found.st_rdev), os.minor(found.st_rdev)]}
    if not stat.S_ISREG(found.st_mode):
        yield bson.encode(document | (_attributes(full) if stat.S_ISDIR(found.st_mode) else {}))
        return
    content = Path(os.fsdecode(full)).read_bytes()
    sparse = {"sparse": True} if _has_hole(full) else {}
    document |= {"size": len(content)} | _attributes(full) | sparse
    if len(content) <= PART:
        yield bson.encode(document | ({"data": content} if content else {}))
        return
    yield bson.encode(document)
    for number in range(0, len(content), PART):
        part = content[number : number + PART]
        if part.strip(b"\0") or not sparse:
            yield bson.encode({"_id": path, "part": number // PART, "data": part} | sparse)


def _type(mode: int) -> str:
    names = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
    return names.get(stat.S_IFMT(mode), "character")


def _attributes(full: bytes) -> dict[str, list[bytes]]:
    found = [each for name in sorted(os.listxattr(full)) for each in (os.fsencode(name), os.getxattr(full, name))]
    return {"attributes": found} if found else {}


def _has_hole(full: bytes) -> bool:
    with Path(os.fsdecode(full)).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size > 4096 and os.lseek(file.fileno(), 0, os.SEEK_HOLE) < size


T = TypeVar("T")


@contextlib.contextmanager
def disturbed(
    monkeypatch: pytest.MonkeyPatch, path: Path, what: Iterator[tuple[int, T]], act: Callable[[T, Path], object]
) -> Iterator[None]:
    """Inside, when what is at or below `path` is opened to be read, `act` is done first: with the next of `what`, and
    the path, each time that so many openings passed as it says."""
    real = os.open
    following = next(what, None)
    passed = 0

    def opening(name: Any, flags: int, *more: Any, **named: Any) -> int:
        nonlocal following, passed
        if not isinstance(name, int) and os.fsencode(name).startswith(os.fsencode(path)) and not flags & os.O_WRONLY:
            if following is not None and passed >= following[0]:
                (_, subject), following, passed = following, next(what, None), -1
                with monkeypatch.context() as undisturbed:
                    undisturbed.setattr(os, "open", real)
                    act(subject, Path(os.fsdecode(name)))
            passed += 1
        return real(name, flags, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opening)
        yield

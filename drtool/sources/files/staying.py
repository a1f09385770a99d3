"""What stays of a tree that is replaced: nothing else holds what no backup reads."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from drtool.sources.files.patterns import Excluded
from drtool.sources.files.walking import Names, shown

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4


def left_out(tree: Path, excluded: Excluded | None) -> list[bytes]:
    """The outermost names in a tree that are left out of backups."""
    if excluded is None or tree.is_symlink() or not tree.is_dir():
        return []
    return list(_left_out(os.fsencode(tree), b"", excluded))


def carry(names: Iterable[bytes], replaced: Path, path: Path, stuck: Names) -> None:
    """Move these from the tree that was `replaced` into the one at `path`. What cannot be moved, because something else
    bears its name there, is `stuck`; what was deleted since is let go."""
    for inside in names:
        source, place = (os.path.join(os.fsencode(root), inside) for root in (replaced, path))  # noqa: PTH118 - bytes
        if not os.path.lexists(source):
            continue
        if os.path.lexists(place) or not _make_parents(replaced, path, os.path.dirname(inside)):  # noqa: PTH120
            stuck.add(inside)
        else:
            parent = os.path.dirname(place)  # noqa: PTH120
            times = os.stat(parent)  # noqa: PTH116
            os.rename(source, place)  # noqa: PTH104
            os.utime(parent, ns=(times.st_atime_ns, times.st_mtime_ns))


def mounted_at_or_below(path: Path) -> list[str]:
    """Where other file systems are mounted, there or inside, as far as the system tells: what they hold can neither be
    moved nor deleted with the tree."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    points = {os.fsdecode(line.split()[_MOUNT_POINT].decode("unicode_escape").encode("latin-1")) for line in lines}
    return sorted(shown(os.fsencode(point)) for point in points if path in (Path(point), *Path(point).parents))


def _left_out(root: bytes, below: bytes, excluded: Excluded) -> Iterator[bytes]:
    with os.scandir(os.path.join(root, below)) as entries:  # noqa: PTH118
        found = [(os.path.join(below, each.name), each.is_dir(follow_symlinks=False)) for each in entries]  # noqa: PTH118
    for inside, is_directory in found:
        if excluded(inside, is_directory):
            yield inside
        elif is_directory:
            yield from _left_out(root, inside, excluded)


def _make_parents(replaced: Path, path: Path, inside: bytes) -> bool:
    """Directories as they were; False where something else bears the name of one."""
    at, like = path, replaced
    for name in filter(None, os.fsdecode(inside).split("/")):
        at, like = at / name, like / name
        if not os.path.lexists(at):
            at.mkdir()
            found = like.lstat()
            if os.geteuid() == 0:
                os.chown(at, found.st_uid, found.st_gid)
            shutil.copystat(like, at)
        elif not stat.S_ISDIR(at.lstat().st_mode):
            return False
    return True

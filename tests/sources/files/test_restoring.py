"""Restoring trees: never outside of them, never half of one under its name, never more rights than there were."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import AuthenticationError, IncompleteRestoreError, SourceError, TargetNotEmptyError, UsageError
from drtool.sources.comparing import compare_in_order
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.files import FilesSource
from drtool.sources.files.comparing import without_owners
from drtool.sources.files.patterns import Excluded
from drtool.sources.files.records import records
from drtool.sources.files.staying import left_out
from drtool.sources.files.syncing import sync
from drtool.sources.files.target import FilesTarget
from drtool.sources.reading import WHOLE, Proof
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.sources.contract import rule_of
from tests.sources.files import zoo
from tests.sources.files.copies import DEFINITION, as_nobody, documents, open_directory, plan_of, read, restore

ROOT: dict[str, Any] = {
    "_id": b"", "type": "directory", "mode": 0o755, "uid": os.geteuid(), "gid": os.getegid(), "mtime": 10**18,
}  # fmt: skip


def _file(path: bytes, data: bytes = b"x", **more: Any) -> dict[str, Any]:
    return {**ROOT, "_id": path, "type": "file", "mode": 0o644, "size": len(data), "data": data, **more}


def _link(path: bytes, target: str) -> dict[str, Any]:
    return {**ROOT, "_id": path, "type": "symlink", "target": os.fsencode(target)}


@pytest.mark.parametrize(
    "path", [b"../evil", b"/evil", b"a/../../evil", b"a//evil", b".", b"a/.", b"..", b"a/", b"nul\0byte"]
)
@pytest.mark.parametrize("kind", ["file", "directory", "part", "link", "target"])
def test_no_path_leads_out(tmp_path: Path, path: bytes, kind: str) -> None:
    hostile: Mapping[str, Any] = {
        "file": _file(path),
        "directory": {**ROOT, "_id": path},
        "part": {"_id": path, "part": 0, "data": b"x"},
        "link": {"_id": path, "type": "link", "target": b"good"},
        "target": {"_id": b"hard", "type": "link", "target": path},
    }[kind]
    (tmp_path / "evil").write_bytes(b"as it was")
    with pytest.raises(IncompleteRestoreError, match="no path below the tree"):
        restore(tmp_path / "to", [ROOT, _file(b"good"), hostile])
    assert (tmp_path / "evil").read_bytes() == b"as it was"
    assert not (tmp_path / "to" / "tree").exists()


@pytest.mark.parametrize("kind", ["file", "part", "link", "directory"])
def test_no_link_leads_out(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"as it was")
    before = outside.stat()
    hostile: Mapping[str, Any] = {
        "file": _file(b"a/file"),
        "part": {"_id": b"a/file", "part": 0, "data": b"x"},
        "link": {"_id": b"hard", "type": "link", "target": b"a/file"},
        "directory": {**ROOT, "_id": b"a/inner"},
    }[kind]
    with pytest.raises(IncompleteRestoreError):
        restore(tmp_path / "to", [ROOT, _link(b"a", str(outside)), hostile])
    after = outside.stat()
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == b"as it was"
    assert (before.st_mode, before.st_mtime_ns, before.st_nlink) == (after.st_mode, after.st_mtime_ns, after.st_nlink)


def test_a_link_at_the_tree_itself_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(IncompleteRestoreError):
        restore(tmp_path / "to", [_link(b"", str(outside)), _file(b"file")])
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["/../evil", "../evil", "/a/../../evil", "/nul\0byte"])
def test_no_name_of_a_tree_leads_out(tmp_path: Path, name: str) -> None:
    """Names of streams come from the repository, too."""
    (tmp_path / "to").mkdir()
    with pytest.raises(SourceError, match="no path that a tree"):
        restore(tmp_path / "to", [ROOT], name=name)
    plan, data = plan_of([ROOT], name=name)
    [item] = plan.items
    exporter = FilesSource("code", paths=[]).exporter(ExportPlace("to", "6", directory=tmp_path / "to"))
    with pytest.raises(SourceError, match="no path that a tree"):
        exporter.begin([ExportItem(item.stream, 1, len(data))])
    assert [path.name for path in tmp_path.iterdir()] == ["to"]


def test_a_whole_system_has_a_name_below_a_directory(tmp_path: Path) -> None:
    restore(tmp_path, [ROOT, _file(b"file")], name="/")
    assert (tmp_path / "root" / "file").is_file()


def test_no_tree_lies_in_another(tmp_path: Path) -> None:
    """Else what the one makes a link of would lead the other out."""
    plans = [plan_of([ROOT], name=name)[0] for name in ("/a", "/a/b/c")]
    items = tuple(item for plan in plans for item in plan.items)
    with closing(FilesTarget(tmp_path)) as target, pytest.raises(UsageError, match="/a/b/c would lie in /a"):
        target.begin(RestorePlan(items, "marker"))
    exporter = FilesSource("code", paths=[]).exporter(ExportPlace("to", "6", directory=tmp_path))
    with pytest.raises(UsageError, match="/a/b/c would lie in /a"):
        exporter.begin([ExportItem(item.stream, 1, 1) for item in items])


def test_attributes_that_cannot_be_set_are_told(tmp_path: Path) -> None:
    records = [ROOT, _file(b"file", attributes=[b"nonsense.name", b"x"])]
    assert any("extended attributes" in sentence for sentence in restore(tmp_path, records))
    plan, data = plan_of(records)
    with closing(FilesTarget(tmp_path / "to", strict=True)) as target:
        target.begin(plan)
        with pytest.raises(IncompleteRestoreError, match="nonsense") as caught:
            target.load(plan.items[0], [data])
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize(
    "document",
    [
        {"_id": b"x", "type": "something new", "mode": 0, "mtime": 0, "uid": 0, "gid": 0},
        {"_id": b"x", "part": -1, "data": b"x"},
        {"_id": b"x", "part": 1 << 50, "data": b"x"},
        {"_id": b"x", "part": 0, "data": bytes(zoo.PART + 1)},
        _file(b"x", b"abc", size=4),
        {"_id": b"x", "type": "file"},
        {**ROOT, "_id": b"x", "type": "symlink"},
        {"_id": b"x", "part": 0},
        {"_id": b"x", "type": "link", "target": "text"},
        _file(b"x", uid=-5),
        _file(b"x", attributes=[b"user.alone"]),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, document: Mapping[str, Any]) -> None:
    with pytest.raises(IncompleteRestoreError):
        restore(tmp_path, [ROOT, document])


@pytest.mark.parametrize("document", [{"_id": "text", "type": "file"}, {"_id": b"x"}, {"type": "file"}])
def test_what_has_no_key_is_refused(tmp_path: Path, document: Mapping[str, Any]) -> None:
    with pytest.raises(SourceError, match="none of a tree"):
        restore(tmp_path, [ROOT, document])


def test_nothing_is_inherited_from_the_directory_around(tmp_path: Path) -> None:
    """Whoever may write to whatever is made in a directory may not write to what is restored there."""
    everybody, somebody = 0xFFFFFFFF, 12345
    entries = ((1, 7, everybody), (2, 7, somebody), (4, 5, everybody), (16, 7, everybody), (32, 5, everybody))
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    with contextlib.suppress(OSError):  # a file system without access control lists bequeaths none
        os.setxattr(tmp_path, "system.posix_acl_default", listed)
    restore(tmp_path, [ROOT, _file(b"file"), {**ROOT, "_id": b"inner"}, _file(b"inner/file")])
    for path in (tmp_path / "tree", *(tmp_path / "tree").rglob("*")):
        assert not [name for name in os.listxattr(path) if "posix_acl" in name], path


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_owners_that_nobody_may_give_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Root of a container is told that an account is invalid which the container does not know."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("chown", "fchown"):
        monkeypatch.setattr(os, name, refuse)
    records = [ROOT, _file(b"file"), _link(b"link", "file")]
    [said] = restore(tmp_path, records)
    assert "link" in said
    assert "only root may give files their owners" in said
    assert (tmp_path / "tree" / "file").read_bytes() == b"x"
    plan, data = plan_of(records)
    with closing(FilesTarget(tmp_path / "to", strict=True)) as target:
        target.begin(plan)
        with pytest.raises(AuthenticationError, match="only root"):
            target.load(plan.items[0], [data])


def test_an_interrupted_restore_leaves_no_half_tree(tmp_path: Path) -> None:
    plan, data = plan_of([ROOT, _file(b"file")])
    with closing(FilesTarget(tmp_path)) as target:
        target.begin(plan)
        target.load(plan.items[0], [data])
    assert not (tmp_path / "tree").exists()
    [building] = tmp_path.iterdir()
    assert stat.S_IMODE(building.stat().st_mode) == 0o700
    other = RestorePlan(plan.items, "another")
    with closing(FilesTarget(tmp_path)) as target:
        assert "has not ended" in target.inspect(other).occupied[0]
        assert target.inspect(other).lasting
        with pytest.raises(TargetNotEmptyError):
            target.begin(other)
    restore(tmp_path, [ROOT, _file(b"file")])
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine").write_bytes(b"")
    with pytest.raises(TargetNotEmptyError, match="holds 1 name"):
        restore(tmp_path, [ROOT, _file(b"file")])
    restore(tmp_path, [ROOT, _file(b"file")], replace=True)
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def _in_place(path: Path, exclude: tuple[str, ...], *documents: dict[str, Any]) -> list[str]:
    """Restore a tree over the one at `path`; what was told."""
    plan, data = plan_of([ROOT, *documents])
    item = replace(plan.items[0], name=str(path))
    over, told = RestorePlan((item,), "marker", replace=True), list[str]()
    with closing(FilesSource("code", paths=[path], exclude=exclude).target(None)) as target:
        target.begin(over)
        target.load(item, [data])
        target.finish(over, told.append)
    return told


def _filled(path: Path) -> None:
    (path / "deep" / "cache").mkdir(parents=True)
    for name in (".env", "gone", "deep/cache/one", "deep/gone"):
        (path / name).write_text(f"old {name}")


def test_what_no_backup_holds_stays_in_a_tree_that_is_replaced(tmp_path: Path) -> None:
    _filled(tmp_path / "tree")
    assert _in_place(tmp_path / "tree", (".env", "cache/"), _file(b"file")) == []
    found = {str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*")}
    assert found == {"file", ".env", "deep", "deep/cache", "deep/cache/one"}
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
    _in_place(tmp_path / "tree", (".env", "deep"), _file(b"file"))
    assert (tmp_path / "tree" / "deep" / "cache" / "one").exists()
    times = (tmp_path / "tree").stat()
    _in_place(tmp_path / "tree", (".env", "deep"), _file(b"file"), {**ROOT, "_id": b"x"})
    assert (tmp_path / "tree").stat().st_mtime_ns == times.st_mtime_ns == ROOT["mtime"]


def test_what_the_snapshot_left_out_stays_though_backups_read_it_since(tmp_path: Path) -> None:
    _filled(tmp_path / "tree")
    copies, _ = read(tmp_path / "tree", exclude=["cache/"])
    [copy] = copies.values()
    item = RestoreItem(copy.stream, copy.stream.name, len(documents(copy)), len(copy.data))
    for name in ("deep/cache/one", "deep/gone", "since"):
        (tmp_path / "tree" / name).write_text(f"new {name}")
    plan = RestorePlan((item,), "marker", replace=True)
    with closing(FilesSource("code", paths=[tmp_path / "tree"], exclude=[".env", "!cache/"]).target(None)) as target:
        target.begin(plan)
        target.load(item, [copy.data])
        target.finish(plan, lambda sentence: None)
    assert (tmp_path / "tree" / "deep" / "cache" / "one").read_text() == "new deep/cache/one"
    assert (tmp_path / "tree" / "deep" / "gone").read_text() == "old deep/gone"
    assert not (tmp_path / "tree" / "since").exists()


def test_the_old_tree_goes_when_the_new_one_is_on_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filled(tmp_path / "tree")
    seen: list[tuple[bool, bool]] = []

    def syncing(directory: Path) -> None:
        sync(directory)
        [building] = tmp_path.glob(".drtool*")
        seen.append(((building / "tree" / "file").exists(), (building / "replaced" / "gone").exists()))

    monkeypatch.setattr("drtool.sources.files.target.sync", syncing)
    monkeypatch.setattr("drtool.sources.files.site.sync", syncing)
    _in_place(tmp_path / "tree", (), _file(b"file"))
    assert seen == [(True, False), (False, True)]
    assert (tmp_path / "tree" / "file").exists()


def test_where_the_disk_does_not_take_it_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filled(tmp_path / "tree")

    def failing(directory: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(directory))

    monkeypatch.setattr("drtool.sources.files.target.sync", failing)
    with pytest.raises(SourceError, match=os.strerror(errno.EIO)):
        _in_place(tmp_path / "tree", (), _file(b"file"))
    assert (tmp_path / "tree" / "gone").read_text() == "old gone"


def test_what_comes_while_it_is_looked_for_stays_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filled(tmp_path / "tree")
    looked: list[Path] = []

    def looking(tree: Path, excluded: Excluded | None) -> list[bytes]:
        found = left_out(tree, excluded)
        if not looked:
            (tmp_path / "tree" / "late.log").write_text("late")
            (tmp_path / "tree" / ".env").unlink()
        looked.append(tree)
        return found

    monkeypatch.setattr("drtool.sources.files.site.left_out", looking)
    assert _in_place(tmp_path / "tree", (".env", "*.log"), _file(b"file")) == []
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["file", "late.log"]


def test_what_cannot_stay_is_kept_beside(tmp_path: Path) -> None:
    _filled(tmp_path / "tree")
    [told] = _in_place(tmp_path / "tree", (".env", "cache/"), _file(b".env"), _file(b"deep"))
    assert "tree.replaced" in told
    assert (tmp_path / "tree" / ".env").read_text() == "x"
    assert (tmp_path / "tree.replaced" / ".env").read_text() == "old .env"
    assert (tmp_path / "tree.replaced" / "deep" / "cache" / "one").read_text() == "old deep/cache/one"


@pytest.mark.parametrize("halfway", ["the place is empty", "the new one is there"])
def test_killed_while_it_takes_the_place_it_loses_nothing(tmp_path: Path, halfway: str) -> None:
    _filled(tmp_path / "tree")
    plan, _ = plan_of([ROOT])
    over = RestorePlan((replace(plan.items[0], name=str(tmp_path / "tree")),), "marker", replace=True)
    with closing(FilesTarget(None)) as target:
        target.begin(over)
    [building] = tmp_path.glob(".drtool*")
    (tmp_path / "tree").rename(building / "replaced")
    if halfway == "the new one is there":
        (tmp_path / "tree").mkdir()
    _in_place(tmp_path / "tree", (".env", "cache/"), _file(b"file"))
    found = {str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*")}
    assert found == {"file", ".env", "deep", "deep/cache", "deep/cache/one"}
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_what_stood_there_comes_back_where_its_place_cannot_be_taken(tmp_path: Path) -> None:
    _filled(tmp_path / "tree")
    plan, _ = plan_of([ROOT], replace=True)
    with closing(FilesTarget(tmp_path)) as target:
        target.begin(plan)
        with pytest.raises(SourceError):
            target.finish(plan, lambda sentence: None)  # nothing was loaded
    assert (tmp_path / "tree" / ".env").read_text() == "old .env"


def test_what_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    records = [_file(b"", b"restored")]
    plan, data = plan_of(records)
    with closing(FilesTarget(tmp_path)) as target:
        target.begin(plan)
        target.load(plan.items[0], [data])
        (tmp_path / "tree").write_bytes(b"of somebody else")
        with pytest.raises(TargetNotEmptyError, match="meanwhile there is a file of 16 bytes"):
            target.finish(plan, lambda sentence: None)
    assert (tmp_path / "tree").read_bytes() == b"of somebody else"


@pytest.mark.parametrize("is_filled", [False, True])
def test_who_clears_up_after_another_restore_is_told_where_the_old_tree_is(tmp_path: Path, is_filled: bool) -> None:
    _filled(tmp_path / "tree")
    plan, _ = plan_of([ROOT])
    with closing(FilesTarget(tmp_path)) as target:
        target.begin(replace(plan, replace=True))
        [building] = tmp_path.glob(".drtool*")
        (tmp_path / "tree").rename(building / "replaced")
        if is_filled:
            _filled(tmp_path / "tree")
        [told] = target.inspect(replace(plan, marker="another")).lasting
    assert ("back to its place" in told, "keep what you need of" in told) == (not is_filled, is_filled)
    assert str(building / "replaced") in told


def test_a_mount_point_is_refused_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be neither moved nor removed, which else shows itself when everything is restored."""
    table = tmp_path / "mountinfo"
    (tmp_path / "tree").mkdir()
    table.write_text(f"36 35 98:0 / {tmp_path / 'tree'} rw - ext4 /dev/sdb rw\n")
    monkeypatch.setattr("drtool.sources.files.staying._MOUNTS", table)
    for over in (False, True):
        plan, _ = plan_of([ROOT], replace=over)
        with closing(FilesTarget(tmp_path)) as target, pytest.raises(TargetNotEmptyError, match="is a mount point"):
            target.begin(plan)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mountinfo", "tree"]


def test_one_that_was_killed_is_taken_over_in_place_and_one_that_runs_is_not(tmp_path: Path) -> None:
    _filled(tmp_path / "tree")
    plan, _ = plan_of([ROOT])
    other = RestorePlan((replace(plan.items[0], name=str(tmp_path / "tree")),), "another", replace=True)
    with closing(FilesTarget(None)) as target:
        target.begin(other)
        with pytest.raises(TargetNotEmptyError, match="has not ended"):
            _in_place(tmp_path / "tree", (".env",), _file(b"file"))
    [building] = tmp_path.glob(".drtool*")
    (tmp_path / "tree").rename(building / "replaced")
    _in_place(tmp_path / "tree", (".env",), _file(b"file"))
    assert {path.name for path in (tmp_path / "tree").iterdir()} == {"file", ".env"}
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_a_link_is_followed_to_what_it_stands_for(tmp_path: Path) -> None:
    _filled(tmp_path / "release")
    (tmp_path / "current").symlink_to("release")
    _in_place(tmp_path / "current", (), _file(b"file"))
    assert (tmp_path / "current").is_symlink()
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["file"]


def test_what_is_mounted_inside_is_neither_moved_nor_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    point = tmp_path / "tree" / "a disk"
    escaped = str(point).replace(" ", "\\040")
    table.write_text(f"36 35 98:0 / {escaped} rw - ext4 /dev/sdb rw\n37 35 98:0 / {tmp_path} rw - ext4 /dev/sdc rw\n")
    monkeypatch.setattr("drtool.sources.files.staying._MOUNTS", table)
    point.mkdir(parents=True)
    with pytest.raises(TargetNotEmptyError, match="a disk is mounted inside"):
        _in_place(tmp_path / "tree", (), _file(b"file"))


def test_an_empty_directory_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    restore(tmp_path, [_file(b"", b"a file takes its place")])
    assert (tmp_path / "tree").read_bytes() == b"a file takes its place"


def test_holes_stay_holes_and_zeros_zeros(tmp_path: Path) -> None:
    zoo.fill(tmp_path / "tree")
    copies, _ = read(tmp_path / "tree")
    restore(tmp_path / "to", documents(copies[str(tmp_path / "tree")]))
    for name in ("sparse", "sparse and short", "only a hole", "zeros", "zeros within"):
        was, is_ = (tmp_path / "tree" / name).stat(), (tmp_path / "to" / "tree" / name).stat()
        assert (is_.st_size, is_.st_blocks) == (was.st_size, was.st_blocks), name


def test_several_threads_load_parts_in_any_order(tmp_path: Path) -> None:
    zoo.fill(tmp_path / "tree")
    copies, _ = read(tmp_path / "tree")
    copy = copies[str(tmp_path / "tree")]
    plan, _ = plan_of(documents(copy))
    chunks = [chunk.data for chunk in reversed(copy.chunks)]
    with closing(FilesTarget(tmp_path / "to")) as target:
        target.begin(plan)
        item = plan.items[0]
        threads = [threading.Thread(target=target.load, args=(item, chunks[number::3])) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        target.finish(plan, lambda sentence: None)
    assert zoo.listing(tmp_path / "to" / "tree") == zoo.listing(tmp_path / "tree")


def test_who_is_not_root_gets_the_content_and_is_told(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    zoo.fill(tree)
    copies, _ = read(tree)
    copy = copies[str(tree)]
    plan, _ = plan_of(documents(copy), proof=Proof.CANONICAL)
    with open_directory() as to:
        with as_nobody():
            said = restore(to, documents(copy), proof=Proof.CANONICAL)
            with closing(FilesTarget(to)) as target, closing(target.read_back(plan)) as view:
                [stream] = view.streams()
                back = [chunk.data for chunk in view.chunks(stream, WHOLE, rule_of(stream))]
        assert bool((to / "tree" / "a.txt").stat().st_mode & stat.S_ISUID) != zoo.IS_ROOT
    expected = [chunk.data for chunk in copy.chunks]
    compared = compare_in_order(records, expected, back, without_owners)
    assert bool(compared.differences) == (tree / "null").exists()  # a device, which only root can make
    if zoo.IS_ROOT:
        assert any("only root may give files their owners" in sentence for sentence in said)
        assert compare_in_order(records, expected, back).differences


def test_a_trial_restore_never_passes_over_owners() -> None:
    plan, data = plan_of([ROOT, _file(b"file", uid=12345)])
    with open_directory() as to, as_nobody(), closing(FilesTarget(to, strict=True)) as target:
        target.begin(plan)
        with pytest.raises(AuthenticationError, match="only root") as caught:
            target.load(plan.items[0], [data])
        assert "root" in caught.value.hint


def test_owners_with_other_names_here_are_told(tmp_path: Path) -> None:
    plan, _ = plan_of([ROOT])
    definition = DEFINITION.replace(b'"owners": {}', b'"owners": {"0": "somebody", "%d": "me"}' % os.geteuid())
    [item] = plan.items
    changed = RestoreItem(replace(item.stream, definition=definition), item.name, item.records, item.bytes)
    notes = FilesTarget(tmp_path).inspect(RestorePlan((changed,), "marker")).notes
    assert len(notes) == 1


def test_export_is_plain_files(tmp_path: Path) -> None:
    zoo.fill(tmp_path / "tree")
    copies, _ = read(tmp_path / "tree")
    copy = copies[str(tmp_path / "tree")]
    source = FilesSource("code", paths=[tmp_path / "tree"])
    (tmp_path / "out").mkdir()
    exporter = source.exporter(ExportPlace("out", "6", directory=tmp_path / "out"))
    item = ExportItem(copy.stream, len(documents(copy)), len(copy.data))
    [first] = exporter.begin([item])
    written = exporter.write(first, [chunk.data for chunk in copy.chunks])
    assert (written.records, written.bytes) == (item.records, item.bytes)
    assert exporter.finish()
    exported = tmp_path / "out" / str(tmp_path / "tree").lstrip("/")
    assert zoo.listing(exported) == zoo.listing(tmp_path / "tree")

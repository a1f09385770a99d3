"""Trees that are awkward to read: nothing is passed over in silence."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import AuthenticationError, SourceError, UnreachableError, UsageError
from drtool.sources.base import MISSING
from drtool.sources.files import FilesSource
from drtool.sources.files.changes import is_since
from drtool.sources.files.scanning import now
from drtool.sources.reading import Consistency
from tests.sources.files import zoo
from tests.sources.files.copies import as_nobody, documents, names, open_directory, read


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty tree."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def test_patterns_as_in_gitignore(tree: Path) -> None:
    for name in ("node_modules/a", "src/node_modules/b", "src/keep.log", "src/other.log", "build/x", "src/build/y"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x")
    os.mkfifo(tree / os.fsdecode(b"\xff.log"))
    copies, _ = read(tree, exclude=["node_modules/", "*.log", "!keep.log", "/build"])
    [copy] = copies.values()
    assert names(copy) == ["", "src", "src/build", "src/build/y", "src/keep.log"]


def test_sockets_are_named(tree: Path) -> None:
    zoo.bind_socket(tree / "agent.sock")
    copies, settled = read(tree)
    assert names(copies[str(tree)]) == [""]
    assert any("agent.sock" in warning for warning in settled.warnings)
    assert settled.weaker == {}


def test_an_empty_tree_may_be_a_volume_that_is_not_mounted(tree: Path) -> None:
    _, settled = read(tree)
    assert any("mounted" in warning for warning in settled.warnings)
    assert any("mounted" in warning for warning in FilesSource("code", paths=[tree]).probe().warnings)


def test_a_configured_link_stands_for_what_it_leads_to(tree: Path) -> None:
    (tree / "1").mkdir()
    (tree / "1" / "file").write_bytes(b"")
    (tree / "current").symlink_to("1")
    copies, _ = read(tree / "current")
    assert names(copies[str(tree / "current")]) == ["", "file"]


def test_a_path_that_vanished_is_an_error(tree: Path) -> None:
    source = FilesSource("code", paths=[tree])
    with closing(source.prepare(None)) as prepared:
        tree.rmdir()
        with closing(prepared.freeze()) as view, pytest.raises(UnreachableError, match="does not exist"):
            view.streams()


@pytest.mark.parametrize("is_directory", [False, True])
def test_what_cannot_be_read_fails_the_backup(is_directory: bool) -> None:
    with open_directory() as tree:
        secret = tree / "secret"
        secret.mkdir() if is_directory else secret.write_bytes(b"x")
        secret.chmod(0)
        with as_nobody():
            with pytest.raises(AuthenticationError, match="secret may not be read") as caught:
                read(tree)
            [lack] = FilesSource("code", paths=[tree]).lacks()
        if zoo.IS_ROOT:
            assert FilesSource("code", paths=[tree]).lacks() == []
    assert "exclude" in caught.value.hint
    assert (lack.fatal, "secret" in lack.lost) == (True, True)


def test_a_file_that_vanishes_is_left_out_and_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tree / name).write_bytes(name.encode())
    with zoo.disturbed(monkeypatch, tree / "b", iter([(0, None)]), lambda _, path: path.unlink()):
        copies, settled = read(tree)
    assert names(copies[str(tree)]) == ["", "a", "c"]
    assert settled.weaker == {str(tree): Consistency.FUZZY}
    assert any("/b vanished" in warning for warning in settled.warnings)


def test_the_other_name_of_a_file_that_vanishes_has_its_content(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a").write_bytes(b"content")
    (tree / "b").hardlink_to(tree / "a")
    (tree / "c").hardlink_to(tree / "a")
    with zoo.disturbed(monkeypatch, tree / "a", iter([(0, None)]), lambda _, path: path.unlink()):
        copies, _ = read(tree)
    found = {document["_id"]: document for document in documents(copies[str(tree)])}
    assert found[b"b"]["data"] == found[b"c"]["data"] == b"content"


def test_the_other_name_of_a_file_that_is_replaced_has_the_old_content(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a").write_bytes(b"old")
    (tree / "b").hardlink_to(tree / "a")

    def replace(_: None, path: Path) -> None:
        path.with_name("fresh").write_bytes(b"other")
        path.with_name("fresh").rename(path)

    with zoo.disturbed(monkeypatch, tree / "a", iter([(0, None)]), replace):
        copies, settled = read(tree)
    found = {document["_id"]: document for document in documents(copies[str(tree)])}
    assert (found[b"a"]["data"], found[b"b"].get("data")) == (b"other", b"old")
    assert settled.weaker == {str(tree): Consistency.FUZZY}


def test_a_link_that_is_replaced_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a release is put in place: what the link leads to need not have been there when the tree was listed."""
    (tree / "a").write_bytes(b"")
    (tree / "current").symlink_to("release 1")

    def release(_: None, path: Path) -> None:
        path.with_name("next").symlink_to("release 2")
        path.with_name("next").rename(path.with_name("current"))

    with zoo.disturbed(monkeypatch, tree / "a", iter([(0, None)]), release):
        copies, settled = read(tree)
    assert documents(copies[str(tree)])[-1]["target"] == b"release 2"
    assert settled.weaker == {str(tree): Consistency.FUZZY}
    assert any("/current changed" in warning for warning in settled.warnings)


@pytest.mark.parametrize("what", ["move", "remove"])
def test_what_leaves_a_directory_before_it_is_listed_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Else a file that was moved while the tree was listed is nowhere in a snapshot that calls itself exact."""
    for name in ("done", "incoming"):
        (tree / name).mkdir()
    (tree / "incoming" / "letter").write_bytes(b"x")
    real = os.scandir

    def listing(path: Any) -> Any:
        if path == os.fsencode(tree / "incoming") and (tree / "incoming" / "letter").exists():
            (tree / "incoming" / "letter").rename(tree / "done" / "letter")
            if what == "remove":
                (tree / "incoming").rmdir()
        return real(path)

    monkeypatch.setattr(os, "scandir", listing)
    source = FilesSource("code", paths=[tree])
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert view.streams()
        settled = view.settle()
    assert settled.weaker == {str(tree): Consistency.FUZZY}
    assert any("/incoming changed while the tree was listed" in warning for warning in settled.warnings)


def test_what_is_changed_after_an_instant_says_so(tree: Path) -> None:
    """The kernel stamps files by a clock that lags behind the one that programs read."""
    for number in range(20):
        (tree / f"before {number}").touch()
        instant = now()
        (tree / f"after {number}").touch()
        before, after = ((tree / f"{when} {number}").stat().st_ctime_ns for when in ("before", "after"))
        assert before < instant <= after


def test_a_time_of_whole_seconds_is_not_trusted_to_be_earlier() -> None:
    instant = 1_700_000_000_500_000_000
    assert is_since(instant, instant)
    assert not is_since(instant - 1, instant)
    assert is_since(1_700_000_000_000_000_000, instant)
    assert not is_since(1_699_999_990_000_000_000, instant)


def test_times_that_no_record_can_tell_are_no_hindrance(tree: Path) -> None:
    for name, seconds in (("late", 3 << 32), ("early", -(3 << 32))):
        (tree / name).write_bytes(b"x")
        os.utime(tree / name, (seconds, seconds))
    copies, settled = read(tree)
    assert names(copies[str(tree)]) == ["", "early", "late"]
    assert settled.weaker == {}


def test_a_socket_alone_is_no_tree(tree: Path) -> None:
    zoo.bind_socket(tree / "agent.sock")
    with pytest.raises(SourceError, match="is a socket"):
        read(tree / "agent.sock")


def test_a_file_that_changes_once_is_read_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "file").write_bytes(b"old")
    with zoo.disturbed(monkeypatch, tree / "file", iter([(0, None)]), lambda _, path: path.write_bytes(b"newer")):
        copies, settled = read(tree)
    [_, found] = documents(copies[str(tree)])
    assert (found["data"], found["size"]) == (b"newer", 5)
    assert any("kept as it was then" in warning for warning in settled.warnings)


def test_a_file_that_never_rests_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "busy").write_bytes(b"x" * 100)
    (tree / "growing").write_bytes(b"x" * (3 * zoo.PART))
    real = os.pread

    def reading(fd: int, size: int, at: int) -> bytes:
        data = real(fd, size, at)
        for name in ("busy", "growing"):
            with (tree / name).open("ab") as file:
                file.write(b"more")
        return data

    monkeypatch.setattr(os, "pread", reading)
    copies, settled = read(tree)
    found = documents(copies[str(tree)])
    assert [document["_id"] for document in found] == [b"", b"busy", *[b"growing"] * len(found[2:])]
    kept = [document for document in found if document["_id"] == b"growing"]
    assert kept[0]["size"] == sum(len(part["data"]) for part in kept[1:])
    assert sum("several moments" in warning for warning in settled.warnings) == 1
    assert settled.weaker == {str(tree): Consistency.FUZZY}


def test_a_large_file_that_shrinks_has_zeros_and_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tree / "shrinking"
    path.write_bytes(b"x" * (3 * zoo.PART))
    real = os.pread

    def reading(fd: int, size: int, at: int) -> bytes:
        data = real(fd, size, at)
        os.truncate(path, zoo.PART)
        return data

    monkeypatch.setattr(os, "pread", reading)
    copies, settled = read(tree)
    found = documents(copies[str(tree)])[2:]
    assert b"".join(part["data"] for part in found) == b"x" * zoo.PART + bytes(2 * zoo.PART)
    assert any("shrinking" in warning for warning in settled.warnings)


def _git(tree: Path, *arguments: str) -> str:
    """As on a host where nothing is configured, and in this tree also where a hook runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=tree, check=True, capture_output=True, text=True, env=kept | nothing)
    return done.stdout.strip()


def test_what_git_says(tree: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        return _git(tree, *identity, *arguments)

    def point() -> object:
        source = FilesSource("code", paths=[tree])
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            return view.point["git"]

    assert point() == {}
    git("init", "--quiet")
    assert "unknown" in str(point())
    (tree / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert point() == {str(tree): {"commit": commit, "clean": True}}
    (tree / "file").write_text("2")
    assert point() == {str(tree): {"commit": commit, "clean": False}}


def test_git_never_runs_another_accounts_programs_as_root(tree: Path, tmp_path: Path) -> None:
    """Whoever owns a checkout can name programs in its configuration."""
    if not zoo.IS_ROOT:
        return  # git itself refuses others' checkouts
    _git(tree, "init", "--quiet")
    (tree / "file").write_text("1")
    witness = tmp_path / "witness"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nid -u > {witness}\ncat\n")
    script.chmod(0o755)
    for key, value in (("core.fsmonitor", script), ("filter.x.clean", script), ("user.name", "x"), ("user.email", "x")):
        _git(tree, "config", key, str(value))
    (tree / ".gitattributes").write_text("* filter=x\n")
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 65534, 65534)
    source = FilesSource("code", paths=[tree])
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert str(tree) in view.point["git"]
    assert not witness.exists() or witness.read_text().strip() != "0"


def test_values_for_relations(tree: Path) -> None:
    (tree / "docs").mkdir()
    (tree / "docs" / "a.pdf").write_bytes(b"a")
    copies, _ = read(tree)
    copy = copies[str(tree)]
    source = FilesSource("code", paths=[tree])
    chunks = [chunk.data for chunk in copy.chunks]
    assert list(source.values(copy.stream, chunks, "path")) == [MISSING, MISSING, "docs/a.pdf"]
    assert list(source.values(copy.stream, chunks, "full_path"))[2] == str(tree / "docs" / "a.pdf")
    assert list(source.values(copy.stream, chunks, "name"))[2] == "a.pdf"
    with pytest.raises(UsageError, match="no field 'content'"):
        list(source.values(copy.stream, chunks, "content"))

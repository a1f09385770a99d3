"""The next backup of a tree: chunk for chunk that of a full read, whatever happened to the files."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drtool.sources.files import FilesSource
from drtool.sources.reading import Consistency
from tests.operations.memory import Host
from tests.repository.builders import make
from tests.sources.files import zoo

_NAMES = ("a", "a-b", "a/b", "b", "c/d/e", "c", "z")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host that backs up the tree ``tree``."""
    (tmp_path / "tree").mkdir()
    found = Host(make(tmp_path).as_agent(), FilesSource("code", paths=[tmp_path / "tree"]))
    yield found
    found.repository.close()


def _same_as_full(host: Host) -> None:
    roots = host.roots()
    host.backup(full=True)
    assert host.roots() == roots


@pytest.fixture
def fine_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system of the tests counts time finely: what is older than an instant can be relied on."""
    for module in ("changes", "view"):
        monkeypatch.setattr(f"drtool.sources.files.{module}.RACY_NS", 0)


@pytest.mark.usefixtures("fine_times")
def test_what_did_not_change_is_not_read(host: Host, tmp_path: Path) -> None:
    zoo.fill(tmp_path / "tree")
    first = host.backup()
    assert first.consistency is Consistency.EXACT
    again = host.backup()
    assert (again.incremental, again.read_bytes, again.ranges.read) == (True, 0, 0)
    zoo.change(tmp_path / "tree")
    changed = host.backup(check=0.1)
    assert changed.incremental
    assert 0 < changed.ranges.read < changed.ranges.total
    _same_as_full(host)


def test_what_was_changed_a_moment_before_is_read_again(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drtool.sources.files.changes.RACY_NS", 3600 * 10**9)  # however slow the tests are
    (tmp_path / "tree" / "young").write_bytes(b"1")
    host.backup()
    assert host.backup().ranges.read > 0


def test_without_its_memory_a_host_reads_everything(host: Host, tmp_path: Path) -> None:
    zoo.fill(tmp_path / "tree")
    host.backup()
    [memory] = (tmp_path / "local").rglob("sources/nightly/code")
    for each in memory.iterdir():
        shutil.rmtree(each)
    forgot = host.backup()
    assert "remembers nothing" in forgot.full_because
    for listing in memory.rglob("*.listing"):
        listing.write_bytes(listing.read_bytes()[:-20])
    damaged = host.backup()
    assert damaged.ranges.read == damaged.ranges.total
    _same_as_full(host)


def test_only_what_the_last_snapshot_needs_is_remembered(host: Host, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "tree" / "file").write_bytes(bytes([number]))
        host.backup()
    [memory] = (tmp_path / "local").rglob("sources/nightly/code")
    assert len(list(memory.iterdir())) == 2


_operation = st.tuples(
    st.sampled_from(["write", "append", "insert", "remove", "move", "link", "symlink", "chmod", "directory"]),
    st.sampled_from(_NAMES),
    st.sampled_from(_NAMES),
    st.integers(0, 3000),
)


@pytest.mark.heavy
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(_operation, max_size=8), min_size=2, max_size=4),
    meanwhile=st.lists(st.tuples(st.integers(0, 40), _operation), max_size=6),
)
def test_an_increment_is_a_full_read(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, str, str, int]]],
    meanwhile: list[tuple[int, tuple[str, str, str, int]]],
) -> None:
    """Also where files were changed while an earlier backup read them."""
    directory = tmp_path_factory.mktemp("law")
    tree = directory / "tree"
    tree.mkdir()
    for number in range(60):
        (tree / f"{number:02}").write_bytes(random.Random(number).randbytes(120))
    with pytest.MonkeyPatch.context() as patch:
        _make_all_small(patch)
        host = Host(make(directory).as_agent(), FilesSource("code", paths=[tree]))
        for batch in batches:
            for operation in batch:
                _apply(tree, *operation)
            with zoo.disturbed(patch, tree, iter(meanwhile), lambda operation, _: _apply(tree, *operation)):
                host.backup(check=0.2)
        host.backup(check=0.2)
        assert host.newest().manifest.suspects == ()
        assert host.newest().manifest.consistency == Consistency.EXACT
        _same_as_full(host)
        host.repository.close()


def _make_all_small(patch: pytest.MonkeyPatch) -> None:
    for module in ("entries", "reading"):
        patch.setattr(f"drtool.sources.files.{module}.PART_BYTES", 500)
    patch.setattr("drtool.sources.files.reading._ZEROS", bytes(500))
    for name, value in (("FINE_MIN_BYTES", 200), ("FINE_SPREAD_BYTES", 300)):
        patch.setattr(f"drtool.sources.cutting.{name}", value)
    for module in ("changes", "view"):
        patch.setattr(f"drtool.sources.files.{module}.RACY_NS", 0)


def _apply(tree: Path, what: str, name: str, other: str, size: int) -> None:
    path, second = tree / name, tree / other
    content = random.Random(size).randbytes(size)
    try:
        if what == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif what == "append":
            with path.open("ab") as file:
                file.write(content)
        elif what == "insert":
            path.write_bytes(content + path.read_bytes())
        elif what == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif what == "move":
            path.rename(second)
        elif what == "link":
            second.hardlink_to(path)
        elif what == "symlink":
            path.unlink(missing_ok=True)
            path.symlink_to(other)
        elif what == "chmod":
            path.chmod(0o600 | size % 8 | 0o700 * path.is_dir())
        else:
            path.mkdir(parents=True)
    except OSError:
        return  # some make no sense


@pytest.mark.usefixtures("fine_times")
def test_a_tree_that_changed_while_it_was_read_is_one_to_go_on_from(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.fill(tmp_path / "tree")
    changing = tmp_path / "tree" / "many" / "007"
    with zoo.disturbed(monkeypatch, changing, iter([(0, b"other")]), lambda data, path: path.write_bytes(data)):
        first = host.backup()
    assert first.consistency is Consistency.FUZZY
    assert any("many/007 changed before being read" in warning for warning in host.told.warnings)
    second = host.backup()
    assert (second.incremental, second.consistency) == (True, Consistency.EXACT)
    assert second.ranges.read < second.ranges.total / 2
    _same_as_full(host)


@pytest.mark.usefixtures("fine_times")
@pytest.mark.parametrize("what", ["write", "remove"])
def test_a_file_that_changes_just_before_it_is_checked_makes_nothing_suspect(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """That a file changed after the instant is no sign that the earlier backup missed something."""
    tree = tmp_path / "tree"
    zoo.fill(tree)
    host.backup()
    with zoo.disturbed(
        monkeypatch, tree / "many" / "020", iter([(0, what)]), lambda what, _: _apply(tree, what, "many/020", "", 99)
    ):
        found = host.backup(check=1)
    assert (found.incremental, found.missed, found.suspects) == (True, (), ())
    assert found.consistency is Consistency.EXACT
    _same_as_full(host)


@pytest.mark.usefixtures("fine_times")
def test_a_link_that_is_replaced_just_before_it_is_checked_makes_nothing_suspect(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    zoo.fill(tree)
    host.backup()
    real = os.readlink
    waiting = [os.fsencode(tree / "to nowhere")]

    def reading(path: Any) -> Any:
        if path in waiting:
            waiting.clear()
            _apply(tree, "symlink", "to nowhere", "z", 0)
        return real(path)

    monkeypatch.setattr(os, "readlink", reading)
    found = host.backup(check=1)
    assert waiting == []
    assert (found.incremental, found.missed, found.suspects) == (True, (), ())
    assert found.consistency is Consistency.EXACT
    _same_as_full(host)


@pytest.mark.usefixtures("fine_times")
def test_where_files_never_rest_everything_is_read(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    for number in range(200):
        (tree / f"{number}").write_bytes(bytes(1000))
    host.backup()
    with zoo.disturbed(monkeypatch, tree, zip(repeat(0), count()), lambda _, opened: opened.write_bytes(b"other")):
        found = host.backup(check=1)
    assert "changed faster" in found.full_because
    assert (found.consistency, found.missed, found.suspects) == (Consistency.FUZZY, (), ())
    _same_as_full(host)


@pytest.mark.usefixtures("fine_times")
def test_a_change_without_a_trace_is_found_by_the_check(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system does not tell of changes, the share of files that is read all the same does."""
    tree = tmp_path / "tree"
    zoo.fill(tree)
    host.backup()
    second = host.backup()
    monkeypatch.setattr("drtool.sources.files.view.differing", lambda old, new, instant: iter(()))
    (tree / "many" / "030").write_bytes(b"other")
    found = host.backup(check=1)
    assert (found.missed, found.suspects) == ((str(tree),), (second.snapshot,))
    assert found.ranges.read == found.ranges.total

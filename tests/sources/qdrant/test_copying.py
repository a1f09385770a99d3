"""Copies of directories with holes."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.qdrant import scratch
from drtool.sources.qdrant.copying import copy_tree
from drtool.sources.qdrant.marks import MarkFile
from drtool.sources.qdrant.scratch import Scratch

_PIECE = 1 << 16


@given(st.lists(st.sampled_from([b"", b"x", bytes(_PIECE), b"y" * _PIECE, bytes(_PIECE - 1) + b"z"]), max_size=6))
def test_a_copy_has_the_same_bytes(pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "from"
        (source / "below").mkdir(parents=True)
        data = b"".join(pieces)
        (source / "below" / "file").write_bytes(data)
        (source / "empty").write_bytes(b"")
        copy_tree(source, Path(place) / "to")
        assert (Path(place) / "to" / "below" / "file").read_bytes() == data
        assert (Path(place) / "to" / "empty").read_bytes() == b""


def test_holes_stay_holes(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    with (tmp_path / "from" / "file").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    copy_tree(tmp_path / "from", tmp_path / "to")
    found = (tmp_path / "to" / "file").stat()
    assert found.st_size == 64 << 20
    assert found.st_blocks * 512 < 4 << 20


def test_what_a_killed_process_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (left, other) = (tmp_path / name for name in ("drtool-qdrant-left", "another"))
    for place in (left, other):
        place.mkdir()
        (place / "file").write_bytes(b"x")
    with closing(Scratch()) as young:
        assert left.exists(), "it may be somebody's who has not locked it yet"
        monkeypatch.setattr(scratch, "_YOUNG", -1.0)
        with closing(Scratch()) as second:
            assert sorted(tmp_path.iterdir()) == sorted([young.path, second.path, other])
    assert list(tmp_path.iterdir()) == [other]


def test_marks_are_kept_and_go(tmp_path: Path) -> None:
    marks = MarkFile(tmp_path / "below")
    assert marks.read() == {}
    marks.write({"one": ["a", "b"]})
    assert marks.read() == {"one": ["a", "b"]}
    marks.write({})
    assert marks.read() == {}
    assert list((tmp_path / "below").iterdir()) == []


def test_a_damaged_mark_is_named(tmp_path: Path) -> None:
    marks = MarkFile(tmp_path)
    marks.write({"one": []})
    [file] = tmp_path.iterdir()
    file.write_text("{", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        marks.read()
    assert str(file) in caught.value.hint

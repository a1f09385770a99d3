"""Copies of a directory that an application writes to, and directories that are none."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from drtool.errors import RefusedError, SourceError, UnreachableError
from drtool.sources.chroma import ChromaSource, copying
from drtool.sources.chroma.sqlite import DATABASE
from drtool.sources.restoring import RestorePlan
from drtool.sources.vectors.records import VECTORS, decode_all
from tests.sources.chroma import writer, zoo
from tests.sources.chroma.zoo import Client
from tests.sources.contract import back_up

pytestmark = pytest.mark.heavy
pytest.importorskip("chromadb")


def test_each_copy_is_of_one_instant_while_an_application_writes(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, writer.__file__, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"writing\n"
        ends = []
        for _ in range(3):
            with closing(ChromaSource("vectors", str(tmp_path))) as source:
                copies = back_up(source)
            numbers = [document["metadata"]["n"] for document in decode_all(copies["live"].data)]
            assert numbers
            assert all(right == left + 1 for left, right in pairwise(numbers)), "a gap: not of one instant"
            assert len(numbers) % writer.STEP == 0
            vectors = decode_all(copies["live" + VECTORS].data)
            assert [document["v"][""].as_vector().data for document in vectors] == [
                [float(number + place) for place in range(4)] for number in numbers
            ]
            ends.append(numbers[-1])
        assert ends == sorted(ends)
        assert process.poll() is None, "the application must not have been disturbed"
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
    assert process.returncode == 0


def test_files_that_never_stand_still_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "live" / "index").mkdir(parents=True)
    (tmp_path / "live" / DATABASE).write_bytes(b"")
    (tmp_path / "to").mkdir()
    file = tmp_path / "live" / "index" / "data"

    def written_to(directory: Path, files: object, to: Path) -> None:
        file.write_bytes(file.read_bytes() + b"x")
        (to / "half").mkdir()

    file.write_bytes(b"x")
    monkeypatch.setattr(copying, "_copy_files", written_to)
    monkeypatch.setattr(copying, "_ATTEMPTS", 3)
    with pytest.raises(SourceError, match="written to all the time") as caught:
        copying.copy(tmp_path / "live", tmp_path / "to")
    assert caught.value.hint
    assert list((tmp_path / "to").iterdir()) == [], "nothing half-good is left"


def test_a_copy_for_which_there_is_no_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "live" / "index").mkdir(parents=True)
    (tmp_path / "live" / "index" / "data").write_bytes(b"x" * 100_000)
    (tmp_path / "live" / DATABASE).write_bytes(b"")
    (tmp_path / "to" / "index").mkdir(parents=True)
    (tmp_path / "to" / "index" / "data").symlink_to("/dev/full")
    monkeypatch.setattr(copying, "_ATTEMPTS", 3)
    monkeypatch.setattr(copying, "_TICK_NS", 0)
    with pytest.raises(SourceError, match="No space left") as caught:
        copying.copy(tmp_path / "live", tmp_path / "to")
    assert "TMPDIR" in caught.value.hint


def test_a_directory_without_chroma_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="holds no Chroma") as caught:
        ChromaSource("vectors", str(tmp_path)).prepare(None)
    assert caught.value.hint


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    with pytest.raises(SourceError, match=str(tmp_path)):
        back_up(ChromaSource("vectors", str(tmp_path)))


def test_a_damaged_index_is_named(embedded: tuple[Path, Client]) -> None:
    directory, client = embedded
    client.create_collection("docs", embedding_function=None).add(
        ids=[str(number) for number in range(1500)], embeddings=zoo.vectors(1500, 4)
    )
    files = [path for path in directory.glob("*/data_level0.bin") if path.stat().st_size]
    assert files, "the index should have been written by then"
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(SourceError, match="docs") as caught:
        back_up(ChromaSource("vectors", str(directory)))
    assert str(directory) in caught.value.message, "the operator knows the original, not our copy"


def test_a_directory_that_an_application_has_open_is_not_written_to(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, writer.__file__, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"writing\n"
        with (
            closing(ChromaSource("vectors", str(tmp_path)).target(None)) as target,
            pytest.raises(RefusedError, match=f"process {process.pid}"),
        ):
            target.inspect(RestorePlan((), "marker"))
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()

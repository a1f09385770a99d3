"""Reading and restoring trees without a repository."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest

from drtool.sources.files import FilesSource
from drtool.sources.files.target import FilesTarget
from drtool.sources.reading import Proof, Settled, StreamInfo
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.sources.contract import Copy, read_all

NOBODY = 65534
DEFINITION = b'{"path": "/tree", "owners": {}, "groups": {}}'


def read(*paths: Path, **options: Any) -> tuple[Mapping[str, Copy], Settled]:
    """Read trees once."""
    source = FilesSource("code", paths=paths, **options)
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        return read_all(view), view.settle()


def documents(copy: Copy) -> Sequence[Mapping[str, Any]]:
    """The records, taken apart."""
    return list(bson.decode_all(copy.data))


def names(copy: Copy) -> list[str]:
    """The paths of all entries."""
    return [os.fsdecode(document["_id"]) for document in documents(copy) if "type" in document]


def plan_of(
    records: Sequence[Mapping[str, Any]], name: str = "/tree", proof: Proof = Proof.IDENTICAL, **options: Any
) -> tuple[RestorePlan, bytes]:
    """The plan for a tree of these records, and its only chunk."""
    data = b"".join(map(bson.encode, records))
    stream = StreamInfo(name, "tree", proof, DEFINITION, name)
    return RestorePlan((RestoreItem(stream, name, len(records), len(data)),), "marker", **options), data


def restore(directory: Path, records: Sequence[Mapping[str, Any]], **options: Any) -> list[str]:
    """Restore records as the tree ``/tree`` below `directory`; what was said meanwhile."""
    plan, data = plan_of(records, **options)
    said: list[str] = []
    with closing(FilesTarget(directory)) as target:
        target.begin(plan)
        target.load(plan.items[0], [data])
        target.finish(plan, said.append)
    return said


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that other accounts may enter, gone at the end; it is nobody's where this process is root. Inside,
    temporary files go to its neighbour."""
    with tempfile.TemporaryDirectory(prefix="drtool-open-", dir="/tmp") as name, pytest.MonkeyPatch.context() as patch:
        for path in (Path(name), Path(name, "tree"), Path(name, "tmp")):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        patch.setattr(tempfile, "tempdir", str(Path(name, "tmp")))
        yield Path(name, "tree")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Inside, this process is not root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)

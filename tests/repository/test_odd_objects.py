"""One object that cannot be read, or that is no object at all, keeps nobody from the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import (
    BucketMissingError,
    DamagedObjectError,
    PermissionDeniedError,
    StorageError,
    StorageFullError,
    TransientStorageError,
)
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import EVIDENCE, reached
from drtool.repository.repository import OTHER_SIZE_LIMIT, SIZE_LIMITS
from drtool.repository.sealed import Kind
from drtool.repository.writer import packs_not_to_rely_on
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import Made, put_record


class _Failing(DirectoryStorage):
    """A store in which reading one object fails."""

    def __init__(self, path: str, name: str, error: StorageError) -> None:
        super().__init__(path)
        self._name = name
        self._error = error

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        if name == self._name:
            raise self._error
        return super().get(name, offset=offset, length=length, version=version)


def _first(made: Made, prefix: str) -> str:
    return next(info.name for info in made.storage.list(prefix))


def _failing(made: Made, name: str, error: StorageError) -> Made:
    return replace(made, storage=_Failing(made.storage.url, name, error))


def _enlarge(made: Made, name: str, size: int) -> None:
    path = Path(made.storage.url) / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize("error", [StorageError("EIO"), PermissionDeniedError("403")])
def test_one_unreadable_object_is_a_problem_of_its_own(victim: Made, error: StorageError) -> None:
    evidence = _first(victim, EVIDENCE)
    owner = _failing(victim, evidence, error).as_owner("new")
    assert reached(owner) == ({}, [error])
    assert len(read_catalogue(owner).snapshots) == 2

    manifest = _first(victim, "snapshots/")
    catalogue = read_catalogue(_failing(victim, manifest, error).as_owner("newer"))
    assert len(catalogue.snapshots) == 1
    assert error in catalogue.problems

    index = _first(victim, "index/")
    reader = _failing(victim, index, error).as_owner("newest")
    assert reader.refresh_index() == [error]
    others = {info.name for info in victim.storage.list("index/")} - {index}
    assert others
    assert reader.cache.object_names() == others


@pytest.mark.parametrize("error", [TransientStorageError("503"), BucketMissingError("gone"), StorageFullError("full")])
def test_what_concerns_the_whole_store_is_raised(victim: Made, error: StorageError) -> None:
    owner = _failing(victim, _first(victim, "index/"), error).as_owner("new")
    with pytest.raises(type(error)):
        owner.refresh_index()


@pytest.mark.parametrize(("prefix", "kind"), [("tombstones/", Kind.TOMBSTONE), ("distrust/", Kind.DISTRUST)])
def test_what_names_packs_about_to_go_must_be_readable(victim: Made, prefix: str, kind: Kind) -> None:
    name = put_record(victim.as_agent(), kind, prefix, {"packs": []})
    error = PermissionDeniedError("403")
    with pytest.raises(PermissionDeniedError):
        list(packs_not_to_rely_on(_failing(victim, name, error).as_agent("new")))
    _enlarge(victim, name, OTHER_SIZE_LIMIT + 1)
    with pytest.raises(DamagedObjectError, match="no object of its kind"):
        list(packs_not_to_rely_on(victim.as_agent("newer")))


@pytest.mark.parametrize("prefix", ["snapshots/", "removals/", "index/", "evidence/"])
def test_what_is_too_large_is_not_read(victim: Made, prefix: str) -> None:
    name = prefix + "0" * 64
    limit = SIZE_LIMITS.get(prefix, OTHER_SIZE_LIMIT)
    _enlarge(victim, name, limit + 1)
    # Reading it would raise something that nothing here takes for the object's own problem.
    owner = _failing(victim, name, TransientStorageError("was read")).as_owner("new")
    catalogue = read_catalogue(owner)
    assert len(catalogue.snapshots) == 2
    found = [*owner.refresh_index(), *catalogue.problems, *reached(owner)[1]]
    assert [(type(error), f"{limit:,}" in error.message) for error in found] == [(DamagedObjectError, True)]

    _enlarge(victim, name, limit)
    with pytest.raises(TransientStorageError, match="was read"):
        list(owner.fetch(victim.storage.list(prefix)))


def test_strangers_do_not_count(victim: Made) -> None:
    root = Path(victim.storage.url)
    for directory in ("", "snapshots", "index", "evidence", "packs"):
        (root / directory / ".DS_Store").write_bytes(b"stray")
        (root / directory / "Thumbs.db").write_bytes(b"stray")
    owner = victim.as_owner("new")
    catalogue = read_catalogue(owner)
    assert (len(catalogue.snapshots), catalogue.problems) == (2, ())
    assert owner.refresh_index() == []
    assert reached(owner)[1] == []

"""On a bucket with versions what is removed is gone, and what is locked is hidden until it can go."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from drtool.errors import PermissionDeniedError, RefusedError
from drtool.operations.catalogue import read_known
from drtool.operations.retention.planning import stored_at
from drtool.storage.base import Storage
from drtool.storage.locate import open_storage
from tests.operations.retention.history import History, begin
from tests.repository.builders import make
from tests.servers.process import wait_until
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket
from tests.servers.vaults import shared_port


class _Locking:
    """A store that does not let versions of manifests be deleted for now."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.is_locked = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``."""
        markers = {info.version for info in self._storage.list_versions(name) if info.is_delete_marker}
        if self.is_locked and version is not None and version not in markers and name.startswith("snapshots/"):
            raise PermissionDeniedError(f"{name} is locked")
        self._storage.delete(name, version=version)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    port, bucket = shared_port("moto"), f"retention-{secrets.token_hex(4)}"
    make_bucket(port, bucket, versions=True)
    storage = open_storage(f"s3://{bucket}/prod", region=REGION, endpoint_url=f"http://127.0.0.1:{port}")
    yield storage
    storage.close()


@pytest.mark.heavy
def test_versions(store: Storage, tmp_path: Path) -> None:
    locking = _Locking(store)
    with ExitStack() as stack:
        begun = begin(make(tmp_path, cast(Storage, locking)), 5)
        history = History(begun.made, begun.snapshots, stack)
        assert history.apply({"last": 3}).locked == 2
        assert history.left() == history.ids(3, 4, 5)
        assert not history.apply({"last": 3}).plan.removal
        assert _versions(store) == 5 + 2, "what is locked is there, each behind one delete marker"
        locking.is_locked = False
        _put_again(history)
        assert history.apply({"last": 1}).locked == 0
        assert _versions(store) == 2
        assert history.left() == history.ids(3, 5)
        store.delete(history.snapshots[2].manifest.name)
        with pytest.raises(RefusedError, match="hidden by a delete marker"):
            history.apply({"last": 1})


def _put_again(history: History) -> None:
    """What is put once more was stored when it was stored first."""
    name, id_ = history.snapshots[3].manifest.name, history.snapshots[3].id
    repository = history.opened()
    known = read_known(repository)
    first = stored_at(repository, known)
    wait_until(lambda: repository.storage.now() > first[id_] + timedelta(seconds=1), "the store's clock went on")
    again = repository.storage.put(name, repository.storage.get(name))
    assert next(repository.storage.list(name)).modified > first[id_]
    assert stored_at(repository, known) == first
    assert again.version is not None
    repository.storage.delete(name, version=again.version)


def _versions(storage: Storage) -> int:
    return len(list(storage.list_versions("snapshots/")))

"""Locks on stores and buckets that have none: refused by name, with nothing stored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from drtool.errors import UnsafeStorageError
from drtool.storage.base import Lock

if TYPE_CHECKING:
    from tests.storage.conftest import OpenStore


# MiniStack takes locks in any bucket, and keeps them.
@pytest.mark.parametrize("store", ["directory", "moto-http", "rgw-http", "rgw-http-versions"])
def test_a_store_without_locks(open_store: OpenStore, store: str) -> None:
    storage = open_store(store)
    storage.put("packs/there", b"content")
    lock = Lock("COMPLIANCE", storage.now().replace(microsecond=0) + timedelta(days=1))
    with pytest.raises(UnsafeStorageError):
        storage.put("packs/new", b"content", lock=lock)
    with pytest.raises(UnsafeStorageError):
        storage.set_lock("packs/there", lock)
    assert [info.name for info in storage.list()] == ["packs/there"]
    assert storage.head("packs/there").lock is None
    assert not storage.keeping().locks


@pytest.mark.parametrize("store", ["moto-http-locks", "ministack-http-locks", "rgw-http-locks", "rgw-https-locks"])
def test_a_lock_is_told_and_made_longer(open_store: OpenStore, store: str) -> None:
    storage = open_store(store)
    now = storage.now().replace(microsecond=0)
    put = storage.put("packs/there", b"content", lock=Lock("COMPLIANCE", now + timedelta(minutes=1)))
    assert storage.head("packs/there").lock == put.lock
    longer = Lock("COMPLIANCE", now + timedelta(minutes=2))
    storage.set_lock("packs/there", longer, version=put.version)
    assert storage.head("packs/there", version=put.version).lock == longer
    assert (storage.keeping().versions, storage.keeping().locks) == (True, True)

"""The conformance suite against every store, over http and https.

``tests/cli/test_doctor.py`` runs it whole, against MiniStack and against a store that ignores conditional puts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drtool.storage.attempts import RetryPolicy
from drtool.storage.base import Capabilities, Storage
from drtool.storage.conformance import CHECKS, Check, conditions, keeping, run_check
from drtool.storage.retry import Retrying

if TYPE_CHECKING:
    from tests.storage.conftest import OpenStore

STORES = ("directory", "moto-http", "moto-https", "ministack-http", "ministack-https", "rgw-http", "rgw-https")
VERSIONED = ("moto-http-versions", "ministack-https-locks")
#: What not every version of a server does.
KNOWN = {("moto", "checksum on arrival"), ("ministack", "checksum on arrival"), ("rgw", "checksum on arrival")}
#: What Ceph 16 does not do in buckets with versions: it looks whether the new version is there, which it never is.
UNCONDITIONAL = {check.name for check in conditions.CHECKS}


def _as_users_see(store: Storage) -> Storage:
    """With retries: moto answers 500 to some puts of one name at a time."""
    return Retrying(store, RetryPolicy(shortest=0.02))


#: What takes long and shows nothing more than doctor's test, which gets pages of a thousand objects from two servers,
#: and than the same over TLS (MiniStack takes its time for a body that comes in small pieces).
LEFT_OUT = {(store, "pages") for store in STORES if store != "directory"} | {("ministack-http", "large object")}

#: In each run; the others with the heavy tests. Over TLS MiniStack takes many times as long as the rest together.
ALWAYS = ("directory", "moto-http", "moto-https")


@pytest.mark.parametrize(
    ("store", "check"),
    [
        pytest.param(store, check, id=f"{store}-{check.name}", marks=[] if store in ALWAYS else [pytest.mark.heavy])
        for store in STORES
        for check in CHECKS
        if (store, check.name) not in LEFT_OUT
    ],
)
def test_store_conforms(open_store: OpenStore, store: str, check: Check) -> None:
    result = run_check(_as_users_see(open_store(store)), check)
    if (store.split("-")[0], check.name) in KNOWN:
        assert result.ok or "only guard" in result.lost
    else:
        assert result.ok, result.message
        assert result.lost == ""


@pytest.mark.heavy
@pytest.mark.parametrize("store", VERSIONED)
def test_store_with_versions_conforms(open_store: OpenStore, store: str) -> None:
    storage = _as_users_see(open_store(store))
    checks = [check for check in CHECKS if check.name not in {"pages", "large object"}]
    failed = [result for check in checks if not (result := run_check(storage, check)).ok]
    assert {(store.split("-")[0], result.name) for result in failed} <= KNOWN, failed
    # What is locked stays for a few seconds.
    assert len(list(storage.list_versions())) <= store.endswith("-locks")


@pytest.mark.heavy
def test_ceph_with_locks_conforms_but_for_conditions(open_store: OpenStore) -> None:
    storage = _as_users_see(open_store("rgw-http-locks"))
    failed = {check.name for check in (*conditions.CHECKS, *keeping.CHECKS) if not run_check(storage, check).ok}
    assert failed <= UNCONDITIONAL
    assert storage.probe().versions
    assert storage.keeping().locks


@pytest.mark.parametrize("store", STORES)
def test_probe_of_good_store(open_store: OpenStore, store: str) -> None:
    storage = open_store(store)
    assert storage.probe() == Capabilities(create_only_put=True, compare_and_swap=True, versions=False)
    assert list(storage.list()) == []


@pytest.mark.parametrize("store", VERSIONED)
def test_probe_sees_versions(open_store: OpenStore, store: str) -> None:
    storage = open_store(store)
    assert storage.probe() == Capabilities(create_only_put=True, compare_and_swap=True, versions=True)
    assert list(storage.list_versions()) == []


def test_probe_finds_out_a_store_without_conditional_puts(open_store: OpenStore) -> None:
    storage = open_store("rclone-https")
    assert storage.probe() == Capabilities(create_only_put=False, compare_and_swap=False, versions=False)
    assert list(storage.list()) == []

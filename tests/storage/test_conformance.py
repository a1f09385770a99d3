"""The conformance suite against every store, over http and https."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drtool.storage.attempts import RetryPolicy
from drtool.storage.base import Capabilities, Storage
from drtool.storage.conformance import CHECKS, Check, run_check, run_conformance
from drtool.storage.retry import Retrying

if TYPE_CHECKING:
    from tests.storage.conftest import OpenStore

STORES = ("directory", "moto-http", "moto-https", "ministack-http", "ministack-https")
VERSIONED = ("moto-http-versions", "ministack-https-versions")
#: What not every version of a server does.
KNOWN = {("moto", "checksum on arrival"), ("ministack", "checksum on arrival")}


def _as_users_see(store: Storage) -> Storage:
    """With retries: moto answers 500 to some puts of one name at a time."""
    return Retrying(store, RetryPolicy(shortest=0.02))


#: Over TLS the thousand requests of this one show nothing that the other checks do not.
SLOW_OVER_TLS = {"pages"}


@pytest.mark.parametrize(
    ("store", "check"),
    [
        pytest.param(store, check, id=f"{store}-{check.name}")
        for store in STORES
        for check in CHECKS
        if not (store.endswith("https") and check.name in SLOW_OVER_TLS)
    ],
)
def test_store_conforms(open_store: OpenStore, store: str, check: Check) -> None:
    result = run_check(_as_users_see(open_store(store)), check)
    if (store.split("-")[0], check.name) in KNOWN:
        assert result.ok or "only guard" in result.lost
    else:
        assert result.ok, result.message
        assert result.lost == ""


@pytest.mark.parametrize("store", VERSIONED)
def test_store_with_versions_conforms(open_store: OpenStore, store: str) -> None:
    storage = _as_users_see(open_store(store))
    checks = [check for check in CHECKS if check.name not in {"pages", "large object"}]
    failed = [result for check in checks if not (result := run_check(storage, check)).ok]
    assert {(store.split("-")[0], result.name) for result in failed} <= KNOWN, failed
    assert list(storage.list_versions()) == []


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


def test_conformance_names_what_a_store_without_conditional_puts_loses(open_store: OpenStore) -> None:
    storage = open_store("rclone-http")
    assert storage.probe() == Capabilities(create_only_put=False, compare_and_swap=False, versions=False)
    failed = {result.name: result for result in run_conformance(storage) if not result.ok}
    failed.pop("whole or not at all", None)  # it overwrites in place, which a reader may or may not meet
    assert set(failed) == {
        "create-only put",
        "one of many creates",
        "compare-and-swap put",
        "one of many swaps",
        "checksum on arrival",
    }
    assert all(result.lost for result in failed.values())
    assert not any(result.required for result in failed.values())

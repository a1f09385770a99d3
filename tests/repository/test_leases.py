"""Leases: held by one, renewed, released, run out, taken over."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from drtool.errors import LockedError
from drtool.repository.leases import Lease
from drtool.repository.sealed import Kind
from tests.repository.builders import Made, flipped


def _fields(made: Made) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(made.as_owner().open_object(Kind.LEASE, "leases/work").payload)
    return fields


def _left_by_the_dead(made: Made, owner: str = "dead", ttl: float = 0.2) -> Lease:
    """A lease whose holder is gone."""
    with mock.patch.object(Lease, "_keep_renewing"):
        return Lease(made.as_agent(), "work", owner=owner, ttl=ttl).__enter__()


def test_it_is_held_then_free_and_never_deleted(made: Made) -> None:
    with Lease(made.as_agent(), "work", owner="one"):
        held = _fields(made)
        assert (held["state"], held["owner"], held["generation"]) == ("held", "one", 1)
    assert _fields(made)["state"] == "free"
    with Lease(made.as_agent("other"), "work", owner="two") as lease:
        lease.require()
        assert _fields(made)["owner"] == "two"
        assert _fields(made)["generation"] > held["generation"]


def test_a_dead_one_is_taken_over_when_it_has_run_out(made: Made) -> None:
    _left_by_the_dead(made)
    with Lease(made.as_agent("other"), "work", owner="next"):
        assert _fields(made)["owner"] == "next"


def test_a_dead_one_under_the_own_name_is_taken_over_at_once(made: Made) -> None:
    _left_by_the_dead(made, ttl=900.0)
    with Lease(made.as_agent("other"), "work", owner="dead"):
        assert _fields(made)["generation"] == 2


def test_nobody_waits_longer_than_told(made: Made) -> None:
    _left_by_the_dead(made, ttl=900.0)
    lease = Lease(made.as_agent("other"), "work", owner="next", wait=lambda _: True)
    with pytest.raises(LockedError, match="leases/work"):
        lease.__enter__()


def test_who_lost_it_is_told_and_leaves_it_alone(made: Made) -> None:
    old = _left_by_the_dead(made)
    with Lease(made.as_agent("other"), "work", owner="next"):
        old._stop.clear()
        with mock.patch.object(old._stop, "wait", return_value=False):
            old._keep_renewing()
        with pytest.raises(LockedError, match="taken over"):
            old.require()
        old.__exit__(None, None, None)
        assert _fields(made)["owner"] == "next"


def test_what_is_no_lease_stands_in_nobodys_way(made: Made) -> None:
    with Lease(made.as_agent(), "work", owner="one"):
        pass
    data = made.storage.get("leases/work")
    made.storage.put("leases/work", flipped(data, len(data) // 2))
    with Lease(made.as_agent("other"), "work", owner="two"):
        assert _fields(made)["owner"] == "two"

"""The conformance suite: does a store give what drtool rests on? For drtool's own tests and for users' own buckets."""

from __future__ import annotations

from collections.abc import Callable

from drtool.storage.base import Storage
from drtool.storage.conformance import conditions, keeping, listing, objects
from drtool.storage.conformance.model import Check, CheckResult, run_check

CHECKS: tuple[Check, ...] = (*objects.CHECKS, *listing.CHECKS, *conditions.CHECKS, *keeping.CHECKS)

__all__ = ["CHECKS", "Check", "CheckResult", "run_check", "run_conformance"]


def run_conformance(storage: Storage, *, before: Callable[[Check], None] | None = None) -> list[CheckResult]:
    """Run every check, each below a random prefix under ``leases/probe-``, which it clears afterwards.

    `before` is told of each check before it runs. Takes seconds, and about 100 MB of traffic.
    """
    results = []
    for check in CHECKS:
        if before is not None:
            before(check)
        results.append(run_check(storage, check))
    return results

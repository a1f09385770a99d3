"""The conformance suite: does a store give what drtool rests on? For drtool's own tests and for users' own buckets."""

from __future__ import annotations

from drtool.storage.conformance import conditions, keeping, listing, objects
from drtool.storage.conformance.model import Check, CheckResult, run_check

CHECKS: tuple[Check, ...] = (*objects.CHECKS, *listing.CHECKS, *conditions.CHECKS, *keeping.CHECKS)

__all__ = ["CHECKS", "Check", "CheckResult", "run_check"]

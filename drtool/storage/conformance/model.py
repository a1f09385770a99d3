"""What a conformance check is, and how checks are run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from drtool.errors import StorageError
from drtool.storage.base import Storage
from drtool.storage.probing import PROBE_PREFIX, remove_all

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16


class NonconformingError(Exception):
    """What a check found, as a sentence."""


@dataclass(frozen=True, slots=True)
class Room:
    """A storage and a random prefix in it, below which a check may do what it likes."""

    storage: Storage
    prefix: str

    def name(self, end: str) -> str:
        """An object's name in this room."""
        return f"{self.prefix}{end}"


@dataclass(frozen=True, slots=True)
class Check:
    """One guarantee. ``lost`` says what one loses without it; without a `required` one drtool must not use the store.

    ``run`` returns a remark (may be empty) or raises ``NonconformingError``.
    """

    name: str
    lost: str
    run: Callable[[Room], str]
    required: bool = True


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a check went. ``lost`` is empty where it went well; ``message`` is a sentence or empty."""

    name: str
    ok: bool
    message: str
    lost: str
    required: bool


def run_check(storage: Storage, check: Check) -> CheckResult:
    """Run one check. A ``StorageError`` that the check does not expect is its result, too."""
    room = Room(storage, f"{PROBE_PREFIX}{secrets.token_hex(8)}/")
    try:
        try:
            message = check.run(room)
        finally:
            remove_all(storage, room.prefix)
    except NonconformingError as finding:
        return CheckResult(check.name, False, str(finding), check.lost, check.required)
    except StorageError as error:
        return CheckResult(check.name, False, error.message, check.lost, check.required)
    return CheckResult(check.name, True, message, "", check.required)


def expect(holds: bool, otherwise: str) -> None:
    """Raise ``NonconformingError`` with the sentence `otherwise` unless `holds`."""
    if not holds:
        raise NonconformingError(otherwise)


def expect_error(kind: type[StorageError], call: Callable[[], object], what: str) -> None:
    """`call` must raise `kind`; `what` begins the sentence otherwise."""
    try:
        call()
    except kind:
        return
    except StorageError as error:
        raise NonconformingError(f"{what} was answered with another error: {error.message}") from error
    raise NonconformingError(f"{what} was no error")


def at_once(call: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """`call` for each of `arguments` from `THREADS` threads."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, arguments))

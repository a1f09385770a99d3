"""Protecting snapshots from retention, and releasing them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from drtool.errors import DrtoolError, LockedError, NoSuchSnapshotError, RefusedError, UsageError
from drtool.operations.catalogue import Known
from drtool.repository import pins
from drtool.repository.chain import Snapshot
from drtool.repository.going import RETENTION
from drtool.repository.pins import Pin, PinKind, may_release, read_pins
from drtool.repository.presence import alive
from drtool.repository.primitives import SigningKey
from drtool.repository.removals import read_announced
from drtool.repository.repository import Repository

#: How often, and how many seconds apart, the end of such a run is looked for.
_LOOKS, _PAUSE = 60, 1.0


def holding(repository: Repository) -> tuple[tuple[Pin, ...], list[DrtoolError]]:
    """The pins that hold just now by the store's clock, and what is wrong with others."""
    found, problems = read_pins(repository)
    if not found:
        return (), problems
    now = repository.storage.now()
    return tuple(pin for pin in found if pin.holds(now)), problems


def protected(known: Known, found: Sequence[Pin]) -> dict[str, tuple[Pin, ...]]:
    """The pins of each protected snapshot, by its id."""
    by_snapshot = {s.id: tuple(pin for pin in found if _is_of(pin, s)) for s in known.catalogue.snapshots}
    return {id_: mine for id_, mine in by_snapshot.items() if mine}


def protect(
    repository: Repository,
    snapshot: Snapshot,
    reason: str,
    until: datetime | None,
    wait: Callable[[float], bool] | None = None,
    kind: PinKind = PinKind.OPERATOR,
) -> str:
    """Pin a snapshot until it is released (or until a time), on behalf of `kind`; returns the pin's id.

    ``NoSuchSnapshotError`` where retention announced meanwhile that it removes the snapshot. Retention registers its
    run before it reads pins: a run that begins after the pin sees it, and the end of others is waited for, because they
    may have looked before. ``LockedError`` where one does not end; the pin is there then. `wait` (seconds) returns True
    where waiting is to end.
    """
    if not reason.strip():
        raise UsageError("--reason: say why, for whoever wonders later")
    if until is not None and until <= repository.storage.now():
        raise UsageError(f"--until {until.isoformat()} is past already")
    pin = pins.protect(repository, snapshot, reason.strip(), kind=kind, until=until)
    running = _still_running(repository, wait or threading.Event().wait)
    if snapshot.manifest.name in read_announced(repository).hashes:
        raise NoSuchSnapshotError(f"retention is removing snapshot {snapshot.id} just now: it cannot be protected")
    if running:
        raise LockedError(
            f"a run of retention on {running} may remove snapshot {snapshot.id} all the same, because it began before"
            " the snapshot was protected and has not ended",
            hint="The protection is recorded. Once that run has ended (or was killed, and 24 hours have passed), look"
            " whether drtool snapshots still lists the snapshot.",
        )
    return pin


def _still_running(repository: Repository, wait: Callable[[float], bool]) -> str:
    """The host of a run of retention that was there and did not end in time; empty without one."""
    those = {run.name for run in alive(repository) if run.kind == RETENTION}
    for _ in range(_LOOKS):
        hosts = [run.host for run in alive(repository) if run.name in those] if those else []
        if not hosts or wait(_PAUSE):
            break
    return hosts[0] if hosts else ""


def release(repository: Repository, known: Known, snapshot: Snapshot) -> tuple[Pin, ...]:
    """End all pins of a snapshot; returns them. ``UsageError`` where there is none.

    ``RefusedError`` where this process's keys may not: only who set a pin, or a maintainer, ends it.
    """
    found = protected(known, holding(repository)[0])
    mine = found.get(snapshot.id, ())
    if not mine:
        others = f"Protected: {', '.join(sorted(found))}" if found else "No snapshot is protected."
        raise UsageError(f"snapshot {snapshot.id} is not protected", hint=others)
    keys = [key for key in (repository.signer, repository.maintainer) if key is not None]
    signers = [_signer(repository, pin, keys) for pin in mine]
    for pin, signer in zip(mine, signers, strict=True):
        pins.release(repository, pin, signer)
    return mine


def _signer(repository: Repository, pin: Pin, keys: Sequence[SigningKey]) -> SigningKey:
    signer = next((key for key in keys if may_release(repository, pin, key.public)), None)
    if signer is None:
        by = repository.document.name_of(pin.signer)
        raise RefusedError(
            f"snapshot {pin.snapshot} was protected by {by} ({pin.reason}): only {by} or a maintainer may release it",
            hint="Release it there, or set repository.maintenance.agent_key or repository.identity.",
        )
    return signer


def _is_of(pin: Pin, snapshot: Snapshot) -> bool:
    return pin.hash == snapshot.hash or pin.snapshot == snapshot.id

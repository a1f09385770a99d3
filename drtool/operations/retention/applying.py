"""Removing what a plan names: announced first, which tells the gap from tampering, and gone on with after a crash."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from drtool.config.jobs import Job
from drtool.errors import DrtoolError, PermissionDeniedError, RefusedError, UnsafeStorageError
from drtool.operations.prune.erasing import erase, erase_all
from drtool.operations.reporting import Reporter
from drtool.operations.retention.planning import NOTHING, Objection, Obstacle, Plan, make_plan
from drtool.repository.going import RETENTION
from drtool.repository.leases import Lease, new_owner
from drtool.repository.manifests import object_hash
from drtool.repository.pins import read_pins
from drtool.repository.removals import LEASE, Removal, announce, read_announced
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.storage.probing import PROBE_PREFIX


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done: ``plan`` was removed, as ``announced`` says; ``finished`` are objects that an earlier run had
    announced and left, ``locked`` are hidden only, because the store does not let them be deleted yet. ``before`` is
    the hash of the plan asked for that had been carried out before, so that nothing was decided; else empty."""

    plan: Plan
    announced: tuple[str, ...]
    finished: int
    locked: int
    before: str = ""


def apply(
    repository: Repository,
    jobs: Mapping[str, Job],
    reporter: Reporter,
    *,
    only: str | None = None,
    expected: str | None = None,
    despite: Collection[Obstacle] = (),
    wait: Callable[[float], bool] | None = None,
) -> Applied:
    """Finish what an earlier run announced, then remove what the policies of `jobs` (of the job `only`) do not keep.

    Nothing is removed, and ``RefusedError`` raised, while an objection stands or the plan is not the `expected` one (a
    beginning of its hash, lower case); one that was carried out already is not made anew. ``UnsafeStorageError`` where
    the store does not honour conditional puts; ``PermissionDeniedError`` where it lets nothing be deleted;
    ``LockedError`` while another process applies. The repository was opened by `drtool.operations.opening.maintained`.
    """
    able = repository.storage.probe()
    if not (able.create_only_put and able.compare_and_swap):
        raise UnsafeStorageError(
            f"{repository.storage.url} does not honour conditional puts: nothing is ever removed from it",
            hint="drtool doctor --storage shows what the store lacks.",
        )
    with (
        Lease(repository, LEASE, owner=new_owner(), wait=telling(reporter, wait)) as lease,
        Run(repository, RETENTION, only or ""),
    ):
        deleting = _Deleting(repository, lease.require)
        finished = deleting.finish()
        if finished:
            reporter.note(f"{finished} objects that an earlier run had announced were removed")
        if expected is not None:
            before = [plan for plan in read_announced(repository).plans if plan.startswith(expected)]
            if before:
                return Applied(NOTHING, (), finished, deleting.locked, before[0])
        plan = make_plan(repository, jobs, only, despite)
        for warning in plan.warnings:
            reporter.warn(warning)
        _refuse(plan, expected)
        if plan.removal:
            _require_right_to_delete(repository)
        announced = []
        parts = list(plan.removal.parts())
        for number, part in enumerate(parts, start=1):
            lease.require()
            # The last one says that the plan was carried out; what is cut off before it, is not.
            announced.append(_announce(repository, part, plan.hash if number == len(parts) else ""))
            deleting.delete(part.names())
        return Applied(plan, tuple(announced), finished, deleting.locked)


def telling(reporter: Reporter, wait: Callable[[float], bool] | None) -> Callable[[float], bool]:
    """`wait`, or without it a wait that nothing ends; what is waited for is told once."""
    patient = wait or threading.Event().wait
    told = threading.Event()

    def waiting(seconds: float) -> bool:
        if not told.is_set():
            told.set()
            reporter.note("another process may be removing snapshots: looking for up to a minute whether it is alive")
        return patient(seconds)

    return waiting


def _require_right_to_delete(repository: Repository) -> None:
    """What is announced and not deleted looks put back to everybody: so it is tried on an object of no worth."""
    name = PROBE_PREFIX + secrets.token_hex(8)
    repository.storage.put(name, b"")
    try:
        repository.storage.delete(name)
    except PermissionDeniedError as error:
        raise PermissionDeniedError(
            f"nothing was removed: these credentials may not delete ({error.message})",
            hint="Name a profile that may in repository.maintenance.profile; drtool doctor prints the bucket policy.",
        ) from error


def _announce(repository: Repository, part: Removal, plan: str) -> str:
    assert repository.maintainer is not None
    held = {pin.hash for pin in read_pins(repository)[0] if pin.holds(repository.storage.now())}
    late = [snapshot.id for snapshot in part.snapshots if snapshot.hash in held]
    if late:
        raise RefusedError(f"snapshot {late[0]} was protected just now", hint="Plan again: drtool retention plan")
    return announce(repository, part, repository.maintainer, plan)


def _refuse(plan: Plan, expected: str | None) -> None:
    if plan.objections:
        first = plan.objections[0]
        others = len(plan.objections) - 1
        more = f" (and {others} more: drtool retention plan tells them)" if others else ""
        raise RefusedError(f"nothing was removed: {first.message}{more}", hint=hint_for(first))
    if expected is not None and not plan.hash.startswith(expected):
        raise RefusedError(
            f"nothing was removed: the plan is another one by now, {plan.hash[:16]}, which removes"
            f" {_number_of(plan.removal)}",
            hint="Look at it with: drtool retention plan (with the same job, if the plan was of one job only)",
        )


def _number_of(removal: Removal) -> str:
    snapshots, others = len(removal.snapshots), len(removal.evidence) + len(removal.segments)
    return f"{snapshots} snapshot{'' if snapshots == 1 else 's'}" + (f" and {others} other objects" if others else "")


def hint_for(objection: Objection) -> str:
    """What an operator can do about an objection."""
    match objection.obstacle:
        case Obstacle.SURPLUS:
            return (
                "Find out who took them: they would push older ones out. If they are wanted, tell the job's schedule"
                f" (jobs.{objection.job}.schedule), or go on with --despite surplus."
            )
        case Obstacle.DAMAGE:
            return (
                "Find out why first: what is there now may be all that is left. To thin out the rest all the same:"
                " --despite damage. What cannot be read stays, but protects nothing any more: look at the plan first."
            )
        case Obstacle.CLOCK:
            return "Set the clock (NTP) before anything is dated by it."
        case Obstacle.EMPTIES:
            return "Change the policy: drtool retention simulate shows what one keeps."


class _Deleting:
    """Deletes what was announced, with all its versions. `check` is called right before each."""

    def __init__(self, repository: Repository, check: Callable[[], None]) -> None:
        self._repository = repository
        self._storage = repository.storage
        self._check = check
        self.locked = 0

    def finish(self) -> int:
        """Delete what is announced and still there, provided that it is that very object; how many that were."""
        announced = read_announced(self._repository).hashes
        if not announced:
            return 0
        prefixes = sorted({name.partition("/")[0] + "/" for name in announced})
        there = {info.name for prefix in prefixes for info in self._storage.list(prefix)} & announced.keys()
        fitting = [name for name, data in self._repository.fetch(sorted(there)) if _is(data, announced[name])]
        if self._storage.keeps_versions():
            self._erase_hidden(prefixes, announced.keys() - there)
        self.delete(fitting)
        return len(fitting)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, several at a time. What the store keeps locked is hidden, and counted."""
        self.locked += sum(not is_gone for _, is_gone in erase_all(self._storage, names, self._check))

    def _erase_hidden(self, prefixes: Sequence[str], names: Collection[str]) -> None:
        """Delete the versions that were hidden while they were locked; what still is stays as it is."""
        listed = (info for prefix in prefixes for info in self._storage.list_versions(prefix))
        hidden = [info for info in listed if info.name in names and not info.is_delete_marker]
        for info in hidden:
            self._check()
            with contextlib.suppress(PermissionDeniedError):
                self._storage.delete(info.name, version=info.version)
                erase(self._storage, info.name)


def _is(data: bytes | DrtoolError | None, hash_: str) -> bool:
    return isinstance(data, bytes) and object_hash(data) == hash_

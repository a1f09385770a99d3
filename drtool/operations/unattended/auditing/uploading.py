"""How the repository gets the audit log: through the one that a command had open, before that is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from drtool.errors import DrtoolError, LockedError, StateError
from drtool.local.locks import held
from drtool.monitoring.audit_log import AuditLog, Pending
from drtool.operations.opening import keeper
from drtool.repository.audit import record
from drtool.repository.sealed import Kind

if TYPE_CHECKING:
    from drtool.operations.unattended.auditing.place import Place
    from drtool.repository.repository import Repository

#: How much goes into one object (bytes of lines).
_LARGEST_PART = 512 * 1024


@contextmanager
def kept_open() -> Iterator[list[Repository]]:
    """Repositories that are opened inside stay open, the last one, until the block ends: it is in the list."""
    kept: list[Repository] = []
    with ExitStack() as closing:

        def keep(repository: Repository, stack: ExitStack) -> None:
            closing.pop_all().close()
            closing.push(stack)
            kept[:] = [repository]

        token = keeper.set(keep)
        try:
            yield kept
        finally:
            keeper.reset(token)


def hand_over(place: Place, kept: Sequence[Repository], warn: Callable[[str], None]) -> None:
    """Give them what they have not got; that it cannot be done is a warning."""
    for repository in kept:
        try:
            with place.log() as log:
                upload(log, repository)
        except DrtoolError as error:
            warn(f"the repository has not got the newest entries of the audit log: {error.message}")


def upload(log: AuditLog, repository: Repository) -> int:
    """Give the repository the entries that it has not got; how many. None where this process may not sign them, or
    another one is at it. Raises what the store and the log raise."""
    if not repository.may_sign(Kind.AUDIT):
        return 0
    try:
        with held(log.path.with_name("audit-upload.lock"), "the audit log is being uploaded", ""):
            pending, count = log.pending(repository.id), 0
            for part in _parts(pending):
                record(repository, log.path, part.log, [line.text for line in part.lines], repository.signer)
                log.note_uploaded(repository.id, part)
                count += len(part.lines)
            return count
    except LockedError:
        return 0
    except OSError as error:
        raise StateError(f"the local state {error.filename or log.path} cannot be used: {error.strerror}") from error


def _parts(pending: Pending) -> Iterator[Pending]:
    """Pending lines, as much in each as an object may hold."""
    lines = list(pending.lines)
    while lines:
        size, count = 0, 0
        while count < len(lines) and (not count or size + len(lines[count].text) <= _LARGEST_PART):
            size += len(lines[count].text)
            count += 1
        # Where lines are left, a crash before the next part must not pass them over.
        size_ = pending.size if count == len(lines) else 0
        yield Pending(pending.log, tuple(lines[:count]), size_)
        del lines[:count]

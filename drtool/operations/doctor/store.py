"""The store and the repository in it: can they be used, and what does the store guarantee?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.errors import ObjectMissingError
from drtool.operations.doctor.findings import Finding, Verdict, tried
from drtool.operations.doctor.immutability import examine_immutability
from drtool.operations.keys.standing import standing
from drtool.operations.opening import repository_of, storage_of
from drtool.repository.trust import REPOSITORY_NAME
from drtool.storage.conformance import CHECKS, run_check

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings
    from drtool.storage.base import Storage

#: Clocks that differ by more than this make requests fail and times in listings misleading.
SKEW_SECONDS = 60.0

_ELSEWHERE = "Mistyped, moved or not mounted? A new one is made with: drtool init"
_ESCROW = (
    "Put it into the repository under a passphrase (drtool key escrow), or let a second identity read, kept on paper"
    " (drtool key generate, key add, key paper)."
)


def examine_storage(settings: RepositorySettings) -> Iterator[Finding]:
    """The conformance suite against the configured store: some 100 MB of traffic, all of it removed again."""
    if "://" not in settings.url and not Path(settings.url).is_dir():
        yield Finding("storage", Verdict.FAILED, f"{settings.url} is not a directory", _ELSEWHERE)
        return
    with storage_of(settings) as storage:
        for check in CHECKS:
            result = run_check(storage, check)
            if result.ok:
                yield Finding(result.name, Verdict.OK, result.message)
            else:
                verdict = Verdict.FAILED if result.required else Verdict.WARNING
                yield Finding(result.name, verdict, result.message, result.lost)


def examine_place(settings: RepositorySettings) -> Iterator[Finding]:
    """The repository, and its storage only where there is one: trying to write makes a directory."""
    with storage_of(settings) as storage:
        try:
            storage.get(REPOSITORY_NAME)
        except ObjectMissingError:
            yield Finding("repository", Verdict.FAILED, f"there is no repository at {storage.url}", _ELSEWHERE)
            return
    yield from tried("repository", lambda: _repository(settings))
    yield from tried("storage", lambda: _storage(settings))
    yield from tried("immutability", lambda: examine_immutability(settings))


def _storage(settings: RepositorySettings) -> Iterator[Finding]:
    with storage_of(settings) as storage:
        found = storage.probe()
        yield Finding("storage", Verdict.OK, f"{storage.url} can be read and written")
        if not found.create_only_put and found.versions:
            yield Finding(
                "storage",
                Verdict.WARNING,
                "the store ignores create-only puts (If-None-Match), but keeps what is replaced",
                "Nothing is lost, but drtool does not prune such a store, where two collectors could undo each other.",
            )
        elif not found.create_only_put:
            yield Finding(
                "storage",
                Verdict.FAILED,
                "the store ignores create-only puts (If-None-Match)",
                "Two writers can silently replace each other's objects: drtool does not make repositories there.",
            )
        if not found.compare_and_swap:
            yield Finding(
                "storage", Verdict.WARNING, "the store ignores compare-and-swap puts (If-Match)", "Leases do not hold."
            )
        yield _clock(storage)


def _clock(storage: Storage) -> Finding:
    skew = (datetime.now(UTC) - storage.now()).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        return Finding("clock", Verdict.WARNING, f"this host's clock is {skew:+.0f} s off the store's", "Set up NTP.")
    return Finding("clock", Verdict.OK, f"within {SKEW_SECONDS:.0f} s of the store's")


def _repository(settings: RepositorySettings) -> Iterator[Finding]:
    with repository_of(settings) as repository:
        names = ", ".join(entry.name for entry in repository.document.recipients)
        yield Finding("repository", Verdict.OK, f"{repository.id[:8]} opens; recipients: {names}")
        stand = standing(repository)
        if stand.revoked:
            hint = "Nothing that it signs counts. The identity's owner makes another: drtool key add --agent"
            yield Finding("agent key", Verdict.FAILED, "this host's agent key was revoked", hint)
        verdict = Verdict.WARNING if stand.hangs_on_one else Verdict.OK
        yield Finding("recovery", verdict, str(stand), _ESCROW if stand.hangs_on_one else "")

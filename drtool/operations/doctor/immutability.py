"""Could somebody with these credentials destroy the repository? What the bucket says, and what a canary shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from drtool.operations.doctor.findings import Finding, Verdict
from drtool.operations.object_lock import rule_of
from drtool.operations.opening import repository_of, storage_of
from drtool.repository.locks import MOMENTARY, LockRule
from drtool.storage.base import Expiry, Keeping, Lock, Rights, Storage
from drtool.storage.probing import remove_old_probes

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings

CHECK = "immutability"
#: For how long (seconds) the canary is locked.
CANARY_SECONDS = 60
_POLICY = "drtool doctor --policy agent prints a policy without it."


def examine_immutability(settings: RepositorySettings) -> Iterator[Finding]:
    """A finding for each way to destroy the repository that is open, or one that none was found."""
    if "://" not in settings.url:
        yield _warning(
            "a directory is not immutable: whoever may write to it can delete all of it",
            "Keep a copy where other credentials rule (drtool copy), or use a bucket with Object Lock.",
        )
        return
    with repository_of(settings) as repository:
        rule = LockRule.of(repository.document.object_lock)
    found = [*_rules(settings, rule), *_looked_at(settings, rule)]
    yield from found
    if all(finding.verdict is Verdict.OK for finding in found):
        yield Finding(CHECK, Verdict.OK, f"what is stored cannot be deleted from here; it is locked for {rule}")
    yield from _maintenance(settings)


def _rules(settings: RepositorySettings, rule: LockRule | None) -> Iterator[Finding]:
    wanted = rule_of(settings)
    if wanted is not None and wanted != rule:
        yield _warning(
            f"the configuration asks for locks of {wanted}, the repository says {rule or 'nothing of locks'}",
            "What the root signed rules. Change it with: drtool object-lock --apply",
        )


def _looked_at(settings: RepositorySettings, rule: LockRule | None) -> Iterator[Finding]:
    with storage_of(settings) as storage:
        remove_old_probes(storage)
        keeping = storage.keeping()
        yield from _of_bucket(keeping, rule)
        for expiry in keeping.expiries or ():
            yield from _of_expiry(expiry)
        lock = _canary_lock(storage, rule) if rule is not None and keeping.locks is not False else None
        yield from _of_rights(storage.rights(lock), keeping)


def _canary_lock(storage: Storage, rule: LockRule) -> Lock:
    return Lock(rule.mode, storage.now().replace(microsecond=0) + timedelta(seconds=CANARY_SECONDS))


def _of_bucket(keeping: Keeping, rule: LockRule | None) -> Iterator[Finding]:
    if keeping.versions is False:
        yield _warning(
            "the bucket keeps no versions: what somebody deletes or replaces is gone",
            "Switch versioning on, or better make a bucket with Object Lock, which implies it.",
        )
    for known, right in (
        (keeping.versions, "s3:GetBucketVersioning"),
        (keeping.locks, "s3:GetBucketObjectLockConfiguration"),
        (keeping.expiries, "s3:GetLifecycleConfiguration"),
    ):
        if known is None:
            yield _warning(f"these credentials may not ask the bucket ({right})", f"Allow {right}, to be sure.")
    if rule is None:
        can = keeping.locks is True
        yield _warning(
            "nothing is locked: whoever may delete versions can destroy every backup",
            "Set repository.object_lock, then: drtool object-lock --apply"
            if can
            else "Object Lock is switched on when a bucket is made: move to one that has it (drtool copy).",
        )
    elif keeping.locks is False:
        yield Finding(
            CHECK,
            Verdict.FAILED,
            f"the repository is to be locked for {rule}, but the bucket has no Object Lock",
            "Copy the repository to a bucket made with Object Lock (drtool copy).",
        )
    if keeping.default_lock is not None:
        mode, days = keeping.default_lock
        yield _warning(
            f"the bucket locks all that is put for {days} days ({mode}), also what comes and goes while runs work",
            "Take the bucket's default retention away: drtool locks what is to be locked by itself.",
        )


def _of_expiry(expiry: Expiry) -> Iterator[Finding]:
    if expiry.prefix.startswith(MOMENTARY):
        return
    where = f"below {expiry.prefix}" if expiry.prefix else "of the repository"
    if expiry.days is not None:
        yield Finding(
            CHECK,
            Verdict.FAILED,
            f"the lifecycle rule {expiry.rule} deletes objects {where}, {expiry.days} days old",
            "Take the rule away: drtool retention and drtool prune decide what goes.",
        )
    if expiry.noncurrent_days is not None:
        yield _warning(
            f"the lifecycle rule {expiry.rule} deletes what was hidden or replaced {where} after"
            f" {expiry.noncurrent_days} days, if nothing locks it any more",
            "Leave it to runs/, leases/ and tombstones/: elsewhere, what an intruder hides would be gone by then.",
        )


def _of_rights(rights: Rights, keeping: Keeping) -> Iterator[Finding]:
    if rights.delete_locked:
        yield Finding(
            CHECK,
            Verdict.FAILED,
            "the store deleted an object that was locked: its locks keep nothing",
            "Rely on a copy elsewhere (drtool copy), not on this store's Object Lock.",
        )
    if rights.shorten:
        yield Finding(
            CHECK,
            Verdict.FAILED,
            "these credentials can make a lock end earlier (s3:PutObjectRetention)",
            "In mode COMPLIANCE no store should let anybody do that; in mode GOVERNANCE, take"
            " s3:BypassGovernanceRetention away.",
        )
    held = [
        (rights.hide, "s3:DeleteObject", "hides objects" if keeping.versions else "deletes backups for good"),
        (rights.delete_versions and keeping.versions, "s3:DeleteObjectVersion", "deletes for good what nothing locks"),
        (rights.bypass, "s3:BypassGovernanceRetention", "deletes what is locked in mode GOVERNANCE"),
        (rights.lifecycle, "s3:PutLifecycleConfiguration", "lets the store delete by itself what nothing locks"),
        (rights.policy, "s3:DeleteBucketPolicy", "takes the bucket's rules away"),
    ]
    for has, right, does in held:
        if has:
            yield _warning(f"these credentials have {right}, which {does}", _POLICY)


def _maintenance(settings: RepositorySettings) -> Iterator[Finding]:
    """Who cleans up must be able to delete versions."""
    own = settings.maintenance
    if own is None or own.profile is None:
        return
    with storage_of(settings.model_copy(update={"profile": own.profile})) as storage:
        if storage.rights(None).delete_versions:
            yield Finding("maintenance", Verdict.OK, f"the credentials of {own.profile} may delete what nothing locks")
        else:
            yield Finding(
                "maintenance",
                Verdict.FAILED,
                f"the credentials of {own.profile} may not delete versions: prune could free nothing",
                "drtool doctor --policy maintenance prints a policy that suffices.",
            )


def _warning(message: str, hint: str) -> Finding:
    return Finding(CHECK, Verdict.WARNING, message, hint)

"""What the store should let whom do: policies in the language of AWS' IAM, which other stores speak too.

Without a principal a policy is one to attach to a user or role; with principals it is a bucket's. The names of actions
are those of AWS' "Actions, resources, and condition keys for Amazon S3".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drtool.errors import ConfigError
from drtool.operations.object_lock import rule_of
from drtool.repository.locks import LockRule

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings

#: What a backup host puts, and locks; distrust where it verifies, too.
_WRITES = ("packs/*", "index/*", "snapshots/*", "oplog/*", "evidence/*", "pins/*", "distrust/*", "audit/*")
#: What it puts while it works, and never locks.
_MOMENTARY = ("runs/*", "leases/*")
_LOOKS_AT_BUCKET = (
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
)
_READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention")
_DELETES = ("s3:DeleteObject", "s3:DeleteObjectVersion")
#: What nobody who works with a repository needs, and what would undo its protection.
_NEVER = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository's bucket and prefix (without slashes at its ends; may be empty)."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Place | None:
        """From ``s3://BUCKET/PREFIX``; None for a directory."""
        if not url.startswith("s3://"):
            return None
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return cls(bucket, prefix.strip("/"))

    def objects(self, *ends: str) -> list[str]:
        """The objects of the repository whose names match one of these."""
        start = f"arn:aws:s3:::{self.bucket}/" + (f"{self.prefix}/" if self.prefix else "")
        return [start + end for end in ends]


def policy_for(settings: RepositorySettings, role: str, principals: Sequence[str] = ()) -> dict[str, Any]:
    """The policy for ``agent`` or ``maintenance`` of the configured repository. Asks no server.

    ``ConfigError`` for a directory, which has none.
    """
    place, rule = Place.of(settings.url), rule_of(settings)
    if place is None:
        raise ConfigError(
            f"{settings.url} is a directory: it has no policy",
            hint="Give it an owner and a mode that keep others out, and keep a copy elsewhere (drtool copy).",
        )
    return {"agent": agent_policy, "maintenance": maintenance_policy}[role](place, rule, principals)


def agent_policy(place: Place, rule: LockRule | None, principals: Sequence[str] = ()) -> dict[str, Any]:
    """For backup hosts: they put and read, and cannot delete, replace keys, or lock for longer than `rule`."""
    statements = [
        _statement("Look", "Allow", _LOOKS_AT_BUCKET, [f"arn:aws:s3:::{place.bucket}"]),
        _statement("Read", "Allow", _READS, place.objects("*")),
        _statement("Write", "Allow", ("s3:PutObject",), place.objects(*_WRITES, *_MOMENTARY)),
    ]
    if rule is not None:
        # Who puts with a lock needs the right to lock, which cannot shorten a lock, but could make one of a century.
        # leases/ is for doctor's canary.
        locked = place.objects(*_WRITES, "leases/probe-*")
        statements.append(_statement("Lock", "Allow", ("s3:PutObjectRetention",), locked))
        longer = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": str(rule.days + 1)}}
        never = _statement("LockNoLonger", "Deny", ("s3:PutObjectRetention",), locked)
        statements.append({**never, "Condition": longer})
    statements.append(_statement("Never", "Deny", (*_DELETES, *_NEVER), _everything(place)))
    return _policy(statements, principals)


def maintenance_policy(place: Place, rule: LockRule | None, principals: Sequence[str] = ()) -> dict[str, Any]:
    """For retention, prune and changes of keys: they delete what nothing locks any more."""
    actions = ("s3:PutObject", *_READS, *_DELETES, *(("s3:PutObjectRetention",) if rule is not None else ()))
    statements = [
        _statement("Look", "Allow", _LOOKS_AT_BUCKET, [f"arn:aws:s3:::{place.bucket}"]),
        _statement("Work", "Allow", actions, place.objects("*")),
        _statement("Never", "Deny", _NEVER, _everything(place)),
    ]
    return _policy(statements, principals)


def _everything(place: Place) -> list[str]:
    return [f"arn:aws:s3:::{place.bucket}", *place.objects("*")]


def _statement(sid: str, effect: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": effect, "Action": list(actions), "Resource": list(resources)}


def _policy(statements: Sequence[dict[str, Any]], principals: Sequence[str]) -> dict[str, Any]:
    whom = {"Principal": {"AWS": list(principals)}} if principals else {}
    return {"Version": "2012-10-17", "Statement": [{**statement, **whom} for statement in statements]}

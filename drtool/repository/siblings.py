"""Repositories of one lineage: making a second one, and keeping its keys in line with the first one's.

Both have one root, one id key, and catalog keys in common, so that sealed chunks, manifests and segments mean the same
in either; each has an id of its own, which everything else is sealed for (docs/format.md, "Sealed objects").
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from drtool.errors import WrongKeyError
from drtool.repository.agent_key import ID_BYTES
from drtool.repository.authority import Authority, ring_holders
from drtool.repository.erasing import withdraw
from drtool.repository.locks import LockRule
from drtool.repository.repository import Repository, put_first, require_free
from drtool.repository.trust import RepositoryDocument, Revocation, Signer, keys_name, seal_keyring, utc_now
from drtool.storage.base import Storage


def create_sibling(first: Repository, storage: Storage, rule: LockRule | None = None) -> RepositoryDocument:
    """Make an empty repository of the lineage of `first`, which was opened with the root's identity. `rule` locks all
    that is put there.

    Recipients, signers, revocations and keys are the same. ``RepositoryExistsError`` where there is one already,
    ``UnsafeStorageError`` where the store ignores create-only puts, ``WrongKeyError`` without the root.
    """
    authority = Authority(first)
    root = authority.identity.root_key
    require_free(storage)
    document = replace(
        authority.document,
        repository=os.urandom(ID_BYTES),
        sequence=1,
        created=utc_now(),
        object_lock=None if rule is None else rule.to_json(),
    )
    lock = None if rule is None else rule.lock(storage.now())
    for recipient in ring_holders(document):
        sealed = seal_keyring(authority.keyring, document.repository, recipient, root)
        # Not create-only: where an earlier attempt was cut off, its keys lie there, and belong to nothing.
        storage.put(keys_name(recipient), sealed, lock=lock)
    put_first(storage, document, root)
    return document


def align(first: Repository, second: Repository) -> bool:
    """Bring recipients, signers, revocations and catalog keys of `second` in line with those of `first`. Both were
    opened with the root's identity. Signers that only the second one has stay. Returns whether something was changed.
    """
    one, two = Authority(first), Authority(second)
    if one.document.lineage != two.document.lineage:
        raise WrongKeyError("the two repositories are not of one lineage: they have no keys in common")
    changes: dict[str, Any] = {
        "catalog_key": one.document.catalog_key,
        "recipients": one.document.recipients,
        "signers": _signers(one.document, two.document),
        "revocations": _revocations(one.document, two.document),
    }
    if all(getattr(two.document, name) == value for name, value in changes.items()):
        return False
    catalog = {**two.keyring.catalog, **one.keyring.catalog}
    two.keyring = replace(two.keyring, catalog=catalog, current=one.document.catalog_key)
    two.share(ring_holders(replace(two.document, **changes)))
    two.publish(**changes)
    withdraw(two.storage, two.left_over())  # who copies may lack the right to delete there; then it stays
    return True


def lags_behind(second: RepositoryDocument, first: RepositoryDocument) -> Iterator[str]:
    """What `second` lacks that what is copied from `first` needs to count there, as the ends of a sentence."""
    if second.catalog_key != first.catalog_key:
        yield "the catalog key was rotated"
    allowed = {signer.public: signer.roles for signer in second.signers}
    if any(not signer.roles <= allowed.get(signer.public, frozenset()) for signer in first.signers):
        yield "a signer was added or has another role"
    known = {revocation.public: revocation for revocation in second.revocations}
    if any(known.get(revocation.public) != revocation for revocation in first.revocations):
        yield "a signer was revoked"
    if {entry.recipient for entry in first.recipients} != {entry.recipient for entry in second.recipients}:
        yield "a recipient was added or removed"


def _signers(one: RepositoryDocument, two: RepositoryDocument) -> tuple[Signer, ...]:
    known = {signer.public for signer in one.signers}
    return (*one.signers, *(signer for signer in two.signers if signer.public not in known))


def _revocations(one: RepositoryDocument, two: RepositoryDocument) -> tuple[Revocation, ...]:
    known = {revocation.public for revocation in one.revocations}
    return (*one.revocations, *(revocation for revocation in two.revocations if revocation.public not in known))

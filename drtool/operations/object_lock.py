"""What repository.json says of Object Lock: the root signs it, and every writer follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drtool.repository.locks import LockRule

if TYPE_CHECKING:
    from drtool.config.store import StoreSettings
    from drtool.repository.authority import Authority
    from drtool.repository.repository import Repository


def rule_of(settings: StoreSettings) -> LockRule | None:
    """What the configuration asks for."""
    lock = settings.object_lock
    return None if lock is None else LockRule(lock.mode, lock.days)


def change_rule(repository: Repository, authority: Authority, rule: LockRule | None) -> bool:
    """Make it the repository's rule; False where it is already. What is locked stays locked as long as it was.

    ``UnsafeStorageError`` where the store cannot lock: nothing is changed then.
    """
    if LockRule.of(authority.document.object_lock) == rule:
        return False
    before, repository.storage.rule = repository.storage.rule, rule
    try:
        authority.publish(object_lock=None if rule is None else rule.to_json())
    except BaseException:
        repository.storage.rule = before
        raise
    return True

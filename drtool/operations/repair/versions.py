"""Bringing back what somebody deleted or replaced, from the versions that the store kept."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from drtool.errors import DrtoolError, HiddenObjectError, ObjectMissingError, PermissionDeniedError
from drtool.operations.reporting import Reporter
from drtool.repository.repository import Repository
from drtool.repository.trust import keys_name

_TASK = "Bringing objects back"


@dataclass(slots=True)
class BroughtBack:
    """Names of objects: ``back`` are current again, ``failed`` are not, each with why."""

    back: list[str] = field(default_factory=list)
    failed: list[DrtoolError] = field(default_factory=list)


def find_hidden(repository: Repository) -> list[HiddenObjectError]:
    """Every object that stands behind another version: what is to be told of each.

    Index objects are left to ``repair index``: pruning hides those that it replaced and may not delete yet.
    """
    storage, document = repository.storage, repository.document
    for _ in storage.list():
        continue
    recipients = [entry.recipient for entry in document.recipients]
    recipients += [signer.ring_to for signer in document.signers if signer.ring_to is not None]
    for recipient in recipients:  # other keys were revoked, if they are hidden
        with suppress(ObjectMissingError):
            storage.get(keys_name(recipient))
    return storage.hidden()


def bring_back(repository: Repository, reporter: Reporter) -> BroughtBack:
    """Put the right version of each object once more, over what hides it. That needs no right to delete."""
    done, storage = BroughtBack(), repository.storage
    reporter.start(_TASK)
    try:
        for hidden in find_hidden(repository):
            name = hidden.object
            if not storage.heal(name):
                done.failed.append(hidden)
                continue
            data = storage.get(name)
            try:
                storage.put(name, data)
            except PermissionDeniedError as error:
                done.failed.append(error)
            else:
                done.back.append(name)
            reporter.advance(_TASK, len(data))
    finally:
        reporter.finish(_TASK)
    return done

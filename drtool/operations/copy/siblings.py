"""Making a second repository of a lineage, and bringing its keys in line: both need the root's identity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from drtool.errors import ConfigError, RefusedError
from drtool.operations.object_lock import rule_of
from drtool.operations.opening import repository_of, storage_of
from drtool.repository.repository import Repository
from drtool.repository.siblings import align, create_sibling

if TYPE_CHECKING:
    from drtool.config.copies import CopySettings
    from drtool.config.repository import RepositorySettings


@dataclass(frozen=True, slots=True)
class Sibling:
    """A second repository that was just made. ``has_escrow``: the first one holds an identity under a passphrase, which
    is bound to it and so was not copied."""

    repository: str
    url: str
    has_escrow: bool


def create_copy(settings: RepositorySettings, copy: CopySettings, *, cancelled: Event | None = None) -> Sibling:
    """Make an empty repository of the same lineage where `copy` says; errors of `create_sibling`."""
    with ExitStack() as stack:
        first = stack.enter_context(_as_root(settings, cancelled))
        storage = stack.enter_context(storage_of(copy, cancelled=cancelled))
        document = create_sibling(first, storage, rule_of(copy))
        has_escrow = any(info.name.endswith(".escrow") for info in first.storage.list("keys/"))
        return Sibling(document.repository.hex(), storage.url, has_escrow)


def sync_keys(settings: RepositorySettings, copy: CopySettings, *, cancelled: Event | None = None) -> bool:
    """Bring recipients, signers, revocations and catalog keys of a copy in line with the first repository's. Returns
    whether something was changed; errors of `align`."""
    with ExitStack() as stack:
        first = stack.enter_context(_as_root(settings, cancelled))
        second = Repository.open(
            stack.enter_context(storage_of(copy, cancelled=cancelled)),
            agent=None,
            identity=first.identity,
            state_dir=settings.state_dir,
            cache_dir=settings.cache_dir,
        )
        stack.callback(second.close)
        if second.id == first.id:
            raise RefusedError(f"{copy.url} is the repository itself", hint="Give the address of the second one.")
        return align(first, second)


@contextmanager
def _as_root(settings: RepositorySettings, cancelled: Event | None) -> Iterator[Repository]:
    if settings.identity is None:
        raise ConfigError(
            "making a copy's keys needs the identity, and the configuration names none",
            hint="Set repository.identity for this one command, for instance {file: /media/usb/identity.key}.",
        )
    # The identity alone: its key ring is whole, a host's may lack keys that were retired before it was enrolled.
    alone = settings.model_copy(update={"agent_key": None})
    with repository_of(alone, reads_data=True, cancelled=cancelled) as opened:
        yield opened

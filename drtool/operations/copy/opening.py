"""The two repositories of a copy: which keys open the second one, and whether it is of the same lineage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from drtool.errors import (
    ConfigError,
    ForeignRepositoryError,
    ObjectMissingError,
    RefusedError,
    RepositoryError,
    RepositoryMissingError,
    WrongKeyError,
)
from drtool.operations.admitting import require_writer
from drtool.operations.opening import agent_key_of, repository_of, storage_of
from drtool.repository.agent_key import AgentKey
from drtool.repository.keyring import Keyring
from drtool.repository.repository import Repository
from drtool.repository.siblings import lags_behind
from drtool.repository.trust import REPOSITORY_NAME, RepositoryDocument, Role, keys_name, open_keyring
from drtool.storage.base import Storage

if TYPE_CHECKING:
    from drtool.config.copies import CopySettings
    from drtool.config.repository import RepositorySettings


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a copy is read from, and where it goes. ``is_foreign``: to another lineage, so that everything is to be
    opened, and sealed anew."""

    source: Repository
    destination: Repository
    is_foreign: bool


@dataclass(frozen=True, slots=True)
class _Access:
    """How the second repository is opened: with `agent`, or without one with the first one's identity."""

    agent: AgentKey | None
    is_foreign: bool


@contextmanager
def opened_pair(settings: RepositorySettings, copy: CopySettings, *, cancelled: Event | None = None) -> Iterator[Pair]:
    """Both repositories; the first one with its identity only where that is needed.

    ``RepositoryMissingError`` where there is no second one; ``RefusedError`` where it is the first one itself, or its
    keys lag behind; ``ForeignRepositoryError`` where it is of another lineage, for which no key is named;
    ``WrongKeyError`` where this host may not write there. Nothing was written then.
    """
    with ExitStack() as stack:
        storage = stack.enter_context(storage_of(copy, cancelled=cancelled))
        with repository_of(settings, cancelled=cancelled) as first:
            access = _access(first, storage, copy)
        source = stack.enter_context(repository_of(settings, reads_data=access.is_foreign, cancelled=cancelled))
        destination = Repository.open(
            storage,
            agent=access.agent,
            identity=None if access.agent is not None else source.identity,
            state_dir=settings.state_dir,
            cache_dir=settings.cache_dir,
        )
        stack.callback(destination.close)
        if not access.is_foreign:
            _require_in_line(source, destination)
        _require_signer(destination, access)
        yield Pair(source, destination, access.is_foreign)


def _access(first: Repository, storage: Storage, copy: CopySettings) -> _Access:
    try:
        data = storage.get(REPOSITORY_NAME)
    except ObjectMissingError as error:
        raise RepositoryMissingError(
            f"there is no repository at {storage.url}",
            hint="Make one of the same lineage, once, where the identity is at hand: drtool copy --create --to URL",
        ) from error
    own = agent_key_of(copy.agent_key)
    document = _document(data, first, own, storage)
    if document.repository == first.document.repository:
        raise RefusedError(
            f"{storage.url} is the repository that is to be copied", hint="Give the address of the second one."
        )
    is_foreign = document.root != first.document.root or document.lineage != first.document.lineage
    if own is not None or is_foreign:
        if own is None:
            raise _without_key(storage)
        return _Access(own, is_foreign)
    if first.agent is None:
        return _Access(None, is_foreign)
    # A lineage has its keys in common; only the repository's id, which a key file pins, is another.
    keyring = _with_own_keys(first.keyring, storage, document, first.agent)
    return _Access(replace(first.agent, repository=document.repository, keyring=keyring), is_foreign)


def _with_own_keys(keyring: Keyring, storage: Storage, document: RepositoryDocument, agent: AgentKey) -> Keyring:
    """With the catalog keys that only the second repository ever had, after a rotation there: what was sealed under
    them counts, removals above all."""
    opener = agent.ring_opener
    try:
        own = open_keyring(storage.get(keys_name(opener.recipient)), document, opener)
    except (ObjectMissingError, RepositoryError):
        return (
            keyring  # of a host that was enrolled without a ring; whoever spoilt one is named by a verification there
        )
    return replace(keyring, catalog={**own.catalog, **keyring.catalog})


def _document(data: bytes, first: Repository, own: AgentKey | None, storage: Storage) -> RepositoryDocument:
    try:
        return RepositoryDocument.parse(data, first.document.root)
    except WrongKeyError as error:
        if own is None:
            raise _without_key(storage) from error
        return RepositoryDocument.parse(data, own.root)


def _without_key(storage: Storage) -> ForeignRepositoryError:
    return ForeignRepositoryError(
        f"the repository at {storage.url} is not of this one's lineage",
        hint="To copy into it all the same, name a key of it (repository.copies: agent_key) and this repository's"
        " identity. For a copy that needs no identity, make one in an empty place with drtool copy --create.",
    )


def _require_in_line(source: Repository, destination: Repository) -> None:
    found = list(lags_behind(destination.document, source.document))
    if found:
        raise RefusedError(
            f"the keys of {destination.storage.url} lag behind: since they were written, {', '.join(found)}",
            hint="Run once, where the identity is at hand: drtool copy --sync-keys --to URL",
        )


def _require_signer(destination: Repository, access: _Access) -> None:
    if access.is_foreign or access.agent is not None:
        require_writer(destination, "copies")
    elif not destination.document.allows(destination.signer.public, Role.MAINTAINER):
        raise ConfigError(
            "the identity given may not index what is copied: the root did not make it a maintainer",
            hint="Name this host's agent key as repository.agent_key.",
        )

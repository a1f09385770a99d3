"""From the configuration to what an operation works on: storage, keys, repository, sources."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from drtool.config.secrets import Secret
from drtool.config.source_types.base import SourceSettings
from drtool.config.sources import ENTRY_POINTS
from drtool.errors import ConfigError, KeyFileError
from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import Identity
from drtool.repository.manifests import SourceEntry
from drtool.repository.repository import Repository
from drtool.storage.base import Storage
from drtool.storage.locate import open_storage

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings
    from drtool.config.store import StoreSettings
    from drtool.sources.base import Source
    from drtool.sources.cutting import Record


_MAINTAINER = (
    "Set repository.maintenance.agent_key to a key made with drtool key add --agent NAME --role maintainer, "
    "or repository.identity."
)

#: The classes of the types that drtool brings, in ``drtool.sources``: to ask every installed package takes long.
BUILT_IN = {
    "mongodb": "MongoSource",
    "postgres": "PostgresSource",
    "redis": "RedisSource",
    "chroma": "ChromaSource",
    "qdrant": "QdrantSource",
    "lancedb": "LanceSource",
    "milvus": "MilvusSource",
    "files": "FilesSource",
}

#: Takes over repositories, with what closes them, when those who opened them are done.
keeper: ContextVar[Callable[[Repository, ExitStack], None] | None] = ContextVar("keeper", default=None)


@contextmanager
def storage_of(settings: StoreSettings, *, cancelled: threading.Event | None = None) -> Iterator[Storage]:
    """The storage that the configuration names. Setting `cancelled` ends every wait for it, in whichever thread."""
    storage = open_storage(
        settings.url,
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        profile=settings.profile,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        cancelled=cancelled,
    )
    try:
        yield storage
    finally:
        storage.close()


@contextmanager
def repository_of(
    settings: RepositorySettings,
    *,
    reads_data: bool = False,
    from_store: bool = False,
    cancelled: threading.Event | None = None,
) -> Iterator[Repository]:
    """The repository that the configuration names; `cancelled` as for `storage_of`, `from_store` as for
    ``Repository.open``.

    The identity is fetched only where data is read (`reads_data`) or there is no agent key: it may be on a medium
    that is seldom there.
    """
    agent = agent_key_of(settings.agent_key)
    identity = _identity(settings.identity) if reads_data or agent is None else None
    if agent is None and identity is None:
        raise ConfigError(
            "the configuration names no key to the repository",
            hint="Set repository.agent_key (to back up and list) or repository.identity (to read data back).",
        )
    if reads_data and identity is None:
        raise ConfigError(
            "reading data back needs the identity, and the configuration names none",
            hint="Set repository.identity, for instance {file: /media/usb/identity.key}.",
        )
    with ExitStack() as stack:
        storage = stack.enter_context(storage_of(settings, cancelled=cancelled))
        repository = Repository.open(
            storage,
            agent=agent,
            identity=identity,
            state_dir=settings.state_dir,
            cache_dir=settings.cache_dir,
            from_store=from_store,
        )
        stack.callback(repository.close)
        try:
            yield repository
        finally:
            if (keep := keeper.get()) is not None:
                keep(repository, stack.pop_all())


@contextmanager
def maintained(settings: RepositorySettings, *, cancelled: threading.Event | None = None) -> Iterator[Repository]:
    """The repository, opened to announce removals and to delete: with the maintenance key and credentials where the
    configuration names some, else with the identity. ``maintainer`` of the result is never None.

    Raises what `repository_of` raises, and ``ConfigError`` where no key given has the role.
    """
    own = settings.maintenance
    changes: dict[str, object] = {}
    if own is not None and own.profile is not None:
        changes["profile"] = own.profile
    if own is not None and own.agent_key is not None:
        changes["agent_key"] = own.agent_key
    has_own_key = "agent_key" in changes
    if not has_own_key and settings.identity is None:
        raise ConfigError(
            "cleaning up needs a key with the role maintainer, and the configuration names none", hint=_MAINTAINER
        )
    with repository_of(
        settings.model_copy(update=changes), reads_data=not has_own_key, cancelled=cancelled
    ) as repository:
        if repository.maintainer is None:
            raise ConfigError(
                "the root did not give the keys named in the configuration the role maintainer", hint=_MAINTAINER
            )
        yield repository


def open_source(name: str, settings: SourceSettings) -> Source:
    """The source that the configuration calls `name`."""
    factory = _class_of(settings.type)
    if factory is None:
        raise ConfigError(
            f"sources.{name}: nothing installed reads sources of type {settings.type}",
            hint="drtool seems to be installed only in part: install it again with pip.",
        )
    source: Source = factory.from_settings(name, settings)
    return source


def records_of(type_: str) -> Callable[[bytes], Iterator[Record]]:
    """What takes the chunks of sources of a type apart. ``ConfigError`` where nothing installed knows them."""
    factory = _class_of(type_)
    if factory is None:
        raise ConfigError(
            f"nothing installed reads sources of type {type_}",
            hint="Install what brings that type of source, then run the command again.",
        )
    records: Callable[[bytes], Iterator[Record]] = factory.records
    return records


def _class_of(type_: str) -> Any:
    """The class of a type's sources; None where nothing installed brings it."""
    if type_ in BUILT_IN:
        return getattr(import_module(f"drtool.sources.{type_}"), BUILT_IN[type_])
    return next((entry.load() for entry in entry_points(group=ENTRY_POINTS, name=type_)), None)


def source_like(stack: ExitStack, origin: SourceEntry, configured: Mapping[str, SourceSettings]) -> Source:
    """The configured source that a snapshot's `origin` was read from; closed with `stack`."""
    settings = configured.get(origin.name)
    if settings is None:
        raise ConfigError(
            f"the configuration has no source {origin.name!r}, which the snapshot was taken of",
            hint=f"Add sources.{origin.name} with type {origin.type}; its address need not be reachable for a sandbox.",
        )
    if settings.type != origin.type:
        raise ConfigError(f"sources.{origin.name} has type {settings.type}, the snapshot holds {origin.type}")
    source = open_source(origin.name, settings)
    stack.callback(source.close)
    return source


@contextmanager
def sources_of(settings: Mapping[str, SourceSettings]) -> Iterator[list[Source]]:
    """Several sources, closed with the block."""
    opened: list[Source] = []
    try:
        for name, one in settings.items():
            opened.append(open_source(name, one))
        yield opened
    finally:
        for source in opened:
            source.close()


def agent_key_of(secret: Secret | None) -> AgentKey | None:
    """The agent key that the configuration names, if it names one; ``KeyFileError`` where it is none."""
    return None if secret is None else AgentKey.from_text(_key_text(secret), _origin(secret))


def _identity(secret: Secret | None) -> Identity | None:
    return None if secret is None else Identity.from_text(_key_text(secret), _origin(secret))


def _key_text(secret: Secret) -> str:
    try:
        return secret.reveal()
    except ConfigError as error:
        raise KeyFileError(error.message, hint=error.hint) from error


def _origin(secret: Secret) -> str:
    return str(secret.path) if secret.path is not None else secret.key

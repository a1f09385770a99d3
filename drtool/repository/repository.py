"""A repository that was opened: its store, its keys, and what the root says about both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from drtool.errors import (
    BucketMissingError,
    DamagedObjectError,
    DrtoolError,
    ForeignRepositoryError,
    ObjectMissingError,
    PreconditionFailedError,
    RepositoryExistsError,
    RepositoryMissingError,
    RolledBackError,
    StorageError,
    StorageFullError,
    TamperedError,
    TransientStorageError,
    UnsafeStorageError,
    WrongKeyError,
)
from drtool.repository.agent_key import ID_BYTES, AgentKey
from drtool.repository.cache import IndexCache
from drtool.repository.identity import Identity
from drtool.repository.index import decode_index
from drtool.repository.keyring import CATALOG_KEY_ID_BYTES, Keyring
from drtool.repository.primitives import KEY_BYTES, SigningKey
from drtool.repository.sealed import Kind, Opened, open_object, seal_object
from drtool.repository.state import LocalState
from drtool.repository.trust import (
    REPOSITORY_NAME,
    NamedRecipient,
    RepositoryDocument,
    Role,
    Signer,
    keys_name,
    open_keyring,
    seal_keyring,
    utc_now,
)
from drtool.storage.base import ObjectInfo, Storage

#: How many small objects are fetched at the same time.
FETCHERS = 8
#: How large (bytes) a small object may be, by the beginning of its name (docs/format.md, "Objects"); then any other.
SIZE_LIMITS = {"snapshots/": (64 + 4) * 1024, "index/": 256 * 1024 * 1024}
OTHER_SIZE_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Created:
    """The keys of a new repository, to be written to files by the caller."""

    agent_key: AgentKey
    identity: Identity


def create(storage: Storage, agent_name: str) -> Created:
    """Make an empty repository: repository.json and the first recipient's keys.

    ``RepositoryExistsError`` where there is one; ``UnsafeStorageError`` where the store ignores create-only puts,
    because then two hosts could each believe that the repository is theirs.
    """
    if any(True for _ in storage.list(REPOSITORY_NAME)):
        raise RepositoryExistsError(
            f"there is a repository at {storage.url} already",
            hint="Use its agent.key, or choose another prefix or directory.",
        )
    if not storage.probe().create_only_put:
        raise UnsafeStorageError(
            f"{storage.url} ignores create-only puts (If-None-Match): writers could replace each other's objects",
            hint="drtool doctor --storage shows what the store lacks. Use a store that honours conditional writes.",
        )
    identity = Identity.generate()
    key_id = os.urandom(CATALOG_KEY_ID_BYTES)
    keyring = Keyring(os.urandom(ID_BYTES), {key_id: os.urandom(KEY_BYTES)}, key_id, os.urandom(KEY_BYTES))
    agent = AgentKey(agent_name, os.urandom(ID_BYTES), identity.root, os.urandom(KEY_BYTES), keyring)
    now = utc_now()
    document = RepositoryDocument(
        repository=agent.repository,
        lineage=keyring.lineage,
        root=identity.root,
        sequence=1,
        created=now,
        catalog_key=key_id,
        recipients=(NamedRecipient(identity.recipient, "identity", now),),
        signers=(
            Signer(agent.signing_key.public, agent_name, frozenset({Role.WRITER}), now),
            Signer(identity.verifier_key.public, "identity", frozenset({Role.VERIFIER, Role.MAINTAINER}), now),
        ),
    )
    keys = seal_keyring(keyring, agent.repository, identity.recipient, identity.root_key)
    storage.put(keys_name(identity.recipient), keys, if_absent=True)
    try:
        storage.put(REPOSITORY_NAME, document.sign(identity.root_key), if_absent=True)
    except PreconditionFailedError as error:
        raise RepositoryExistsError(f"somebody else has just made a repository at {storage.url}") from error
    return Created(agent, identity)


class Repository:
    """Opened with an agent key, an identity or both; everything read from the store is checked against them."""

    def __init__(
        self,
        storage: Storage,
        document: RepositoryDocument,
        keyring: Keyring,
        *,
        agent: AgentKey | None,
        identity: Identity | None,
        state: LocalState,
        cache: IndexCache,
    ) -> None:
        self.storage = storage
        self.document = document
        self.keyring = keyring
        self.agent = agent
        self.identity = identity
        self.state = state
        self.cache = cache

    @classmethod
    def open(
        cls,
        storage: Storage,
        *,
        agent: AgentKey | None,
        identity: Identity | None,
        state_dir: Path,
        cache_dir: Path,
    ) -> Repository:
        """Read repository.json and check that it is the one that the keys belong to.

        `state_dir` and `cache_dir` get a directory for this repository. Errors: see `RepositoryDocument.parse`, and
        ``RepositoryMissingError``, ``ForeignRepositoryError``, ``WrongKeyError``, ``RolledBackError``.
        """
        root = _trusted_root(agent, identity)
        document = RepositoryDocument.parse(_read_document(storage), root)
        if agent is not None and document.repository != agent.repository:
            raise ForeignRepositoryError(
                f"{storage.url} holds repository {document.repository.hex()},"
                f" the agent key belongs to {agent.repository.hex()}",
                hint="Check repository.url and repository.agent_key.",
            )
        own = document.repository.hex()
        state = LocalState(state_dir / own / "state.sqlite")
        try:
            _refuse_rollback(storage, document, state)
            keyring = agent.keyring if agent is not None else _keyring_of(storage, document, identity)
            if agent is not None and document.catalog_key not in keyring.catalog:
                raise WrongKeyError(
                    "the agent key does not hold the repository's current catalog key",
                    hint="The catalog key was rotated: fetch a new agent key for this host.",
                )
            # Not the key file but the root says which catalog key seals what is new.
            keyring = replace(keyring, current=document.catalog_key)
            cache = IndexCache(cache_dir / own / "index.sqlite")
        except BaseException:
            state.close()
            raise
        return cls(storage, document, keyring, agent=agent, identity=identity, state=state, cache=cache)

    @property
    def id(self) -> str:
        """The repository's id, hex."""
        return self.document.repository.hex()

    @property
    def signer(self) -> SigningKey:
        """The key that signs what this process writes: the agent's, or the identity's verifier key."""
        if self.agent is not None:
            return self.agent.signing_key
        assert self.identity is not None
        return self.identity.verifier_key

    @property
    def verifier(self) -> SigningKey | None:
        """The key that may sign evidence of reading data; None without an identity whom the root made a verifier."""
        if self.identity is None:
            return None
        key = self.identity.verifier_key
        return key if self.document.allows(key.public, Role.VERIFIER) else None

    @property
    def maintainer(self) -> SigningKey | None:
        """The key that may announce removals and mark packs; None without a key to which the root gave that role."""
        keys = [self.agent.signing_key] if self.agent is not None else []
        keys += [self.identity.verifier_key] if self.identity is not None else []
        document = self.document
        return next(
            (k for k in keys if document.allows(k.public, Role.MAINTAINER) and not document.is_revoked(k.public)), None
        )

    def seal(self, kind: Kind, name: str, payload: bytes, signer: SigningKey | None = None) -> bytes:
        """A sealed object of this repository; signed by `signer` instead of the process's own key if given."""
        return seal_object(kind, name, payload, self.keyring, signer or self.signer, self.document.repository)

    def open_object(self, kind: Kind, name: str, data: bytes | None = None) -> Opened:
        """A sealed object by name (read from the store unless `data` is given), checked."""
        return open_object(kind, name, self.storage.get(name) if data is None else data, self.keyring, self.document)

    def fetch(self, objects: Iterable[ObjectInfo | str]) -> Iterator[tuple[str, bytes | DrtoolError | None]]:
        """Small objects, several at a time, in order: name and content.

        None for one that is gone; the error for one that cannot be read for good, or that is listed as larger than its
        kind may be (``DamagedObjectError``, without reading it). Raises what does not concern one object alone:
        ``TransientStorageError``, ``BucketMissingError``, ``StorageFullError``.
        """

        def get(object_: ObjectInfo | str) -> tuple[str, bytes | DrtoolError | None]:
            name = object_ if isinstance(object_, str) else object_.name
            try:
                if not isinstance(object_, str):
                    _check_size(object_)
                return name, self.storage.get(name)
            except ObjectMissingError:
                return name, None
            except (TransientStorageError, BucketMissingError, StorageFullError):
                raise
            except (DamagedObjectError, StorageError) as error:
                return name, error

        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
            yield from pool.map(get, objects)

    def refresh_index(self, progress: Callable[[int, int], None] | None = None) -> list[DrtoolError]:
        """Bring the local index in line with the store: forget objects that vanished, read those that are new.

        Returns what is wrong with index objects; the others count all the same, because one bad object must not keep
        anybody from what the rest still finds.
        """
        problems: list[DrtoolError] = []
        there = {info.name: info for info in self.storage.list("index/")}
        here = self.cache.object_names()
        self.cache.drop(here - there.keys())
        missing = [there[name] for name in sorted(there.keys() - here)]
        for done, (name, data) in enumerate(self.fetch(missing), start=1):
            if isinstance(data, DrtoolError):
                problems.append(data)
            elif data is not None:
                try:
                    self.cache.add(name, decode_index(data, name, self.keyring, self.document))
                except (DamagedObjectError, TamperedError, WrongKeyError) as error:
                    problems.append(error)
            if progress is not None:
                progress(done, len(missing))
        return problems

    def close(self) -> None:
        """Close the local files. The storage is the caller's."""
        self.cache.close()
        self.state.close()


def _check_size(info: ObjectInfo) -> None:
    limit = next((limit for prefix, limit in SIZE_LIMITS.items() if info.name.startswith(prefix)), OTHER_SIZE_LIMIT)
    if info.size > limit:
        raise DamagedObjectError(f"{info.name} has {info.size:,} bytes; no object of its kind has more than {limit:,}")


def _trusted_root(agent: AgentKey | None, identity: Identity | None) -> bytes:
    if agent is not None:
        if identity is not None and identity.root != agent.root:
            raise WrongKeyError("the agent key and the identity belong to different repositories: their roots differ")
        return agent.root
    if identity is None:
        raise WrongKeyError(
            "no key was given", hint="Name repository.agent_key or repository.identity in the configuration."
        )
    return identity.root


def _read_document(storage: Storage) -> bytes:
    try:
        return storage.get(REPOSITORY_NAME)
    except ObjectMissingError as error:
        raise RepositoryMissingError(f"there is no repository at {storage.url}") from error


def _refuse_rollback(storage: Storage, document: RepositoryDocument, state: LocalState) -> None:
    seen = state.sequence()
    if document.sequence < seen:
        raise RolledBackError(
            f"{storage.url}: repository.json has sequence {document.sequence}, this host has seen {seen} already",
            hint="Somebody put an old version back, perhaps to re-admit a revoked key. Find out who before going on.",
        )
    state.saw_sequence(document.sequence)


def _keyring_of(storage: Storage, document: RepositoryDocument, identity: Identity | None) -> Keyring:
    assert identity is not None
    name = keys_name(identity.recipient)
    if not any(entry.recipient == identity.recipient for entry in document.recipients):
        raise WrongKeyError(f"the identity given is not a recipient of the repository at {storage.url}")
    try:
        return open_keyring(storage.get(name), document, identity)
    except ObjectMissingError as error:
        raise TamperedError(f"{name} is missing, although repository.json names its recipient") from error

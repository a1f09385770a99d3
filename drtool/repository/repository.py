"""A repository that was opened: its store, its keys, and what the root says about both."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from drtool.errors import (
    BucketMissingError,
    DamagedObjectError,
    DrtoolError,
    ForeignRepositoryError,
    ObjectMissingError,
    PreconditionFailedError,
    RepositoryError,
    RepositoryExistsError,
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
from drtool.repository.genuine import is_genuine
from drtool.repository.held import HeldObjects
from drtool.repository.identity import Identity
from drtool.repository.keyring import CATALOG_KEY_ID_BYTES, Keyring
from drtool.repository.lock_notes import LockNotes
from drtool.repository.locks import LockRule
from drtool.repository.newest import read_newest
from drtool.repository.primitives import KEY_BYTES, SigningKey, derive
from drtool.repository.refreshing import refresh
from drtool.repository.sealed import SIGNERS, Kind, Opened, open_object, seal_object
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
from drtool.repository.versions import VersionedStorage
from drtool.storage.base import ObjectInfo, Storage

#: How many small objects are fetched at the same time.
FETCHERS = 8
#: How many are looked up in this host's cache, and fetched if they are not there, before any is given out.
RECALLED = 256
#: How large (bytes) a small object may be, by the beginning of its name (docs/format.md, "Objects"); then any other.
SIZE_LIMITS = {"snapshots/": (64 + 4) * 1024, "index/": 256 * 1024 * 1024}
OTHER_SIZE_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Created:
    """The keys of a new repository, to be written to files by the caller."""

    agent_key: AgentKey
    identity: Identity


def create(storage: Storage, agent_name: str, rule: LockRule | None = None) -> Created:
    """Make an empty repository: repository.json and the first recipient's keys. `rule` locks all that is put there.

    ``RepositoryExistsError`` where there is one; ``UnsafeStorageError`` where the store ignores create-only puts,
    because then two hosts could each believe that the repository is theirs.
    """
    require_free(storage)
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
            Signer(agent.signing_key.public, agent_name, frozenset({Role.WRITER}), now, agent.ring_opener.recipient),
            Signer(identity.verifier_key.public, "identity", frozenset({Role.VERIFIER, Role.MAINTAINER}), now),
        ),
        object_lock=None if rule is None else rule.to_json(),
    )
    keys = seal_keyring(keyring, agent.repository, identity.recipient, identity.root_key)
    lock = None if rule is None else rule.lock(storage.now())
    storage.put(keys_name(identity.recipient), keys, if_absent=True, lock=lock)
    put_first(storage, document, identity.root_key)
    return Created(agent, identity)


def require_free(storage: Storage) -> None:
    """``RepositoryExistsError`` and ``UnsafeStorageError`` as for `create`."""
    # Also where it is hidden only: a create-only put would succeed there.
    if any(not info.is_delete_marker for info in storage.list_versions(REPOSITORY_NAME)):
        raise RepositoryExistsError(
            f"there is a repository at {storage.url} already",
            hint="Use its agent.key, or choose another prefix or directory.",
        )
    able = storage.probe()
    # With versions nothing is lost to a second put, and `put_first` sees it.
    if not able.create_only_put and not able.versions:
        raise UnsafeStorageError(
            f"{storage.url} ignores create-only puts (If-None-Match): writers could replace each other's objects",
            hint="drtool doctor --storage shows what the store lacks. Use a store that honours conditional writes.",
        )


def put_first(storage: Storage, document: RepositoryDocument, root: SigningKey) -> None:
    """Store the first version of a repository's document, after its keys: from then on it is there."""
    try:
        rule = LockRule.of(document.object_lock)
        lock = None if rule is None else rule.lock(storage.now())
        put = storage.put(REPOSITORY_NAME, document.sign(root), if_absent=True, lock=lock)
        first = [info.version for info in storage.list_versions(REPOSITORY_NAME)][-1:]
        if put.version is not None and first != [put.version]:
            raise PreconditionFailedError("another version was put before")  # where a store ignores the condition
    except PreconditionFailedError as error:
        raise RepositoryExistsError(f"somebody else has just made a repository at {storage.url}") from error


class Repository:
    """Opened with an agent key, an identity or both; everything read from the store is checked against them."""

    def __init__(
        self,
        storage: VersionedStorage,
        document: RepositoryDocument,
        keyring: Keyring,
        *,
        agent: AgentKey | None,
        identity: Identity | None,
        state: LocalState,
        cache: IndexCache,
        held: HeldObjects,
        from_store: bool,
    ) -> None:
        self.storage = storage
        self.document = document
        self.keyring = keyring
        self.agent = agent
        self.identity = identity
        self.state = state
        self.cache = cache
        self._held = held
        self._from_store = from_store
        storage.holds = self._is_genuine
        storage.announced = self._announced

    @classmethod
    def open(
        cls,
        storage: Storage,
        *,
        agent: AgentKey | None,
        identity: Identity | None,
        state_dir: Path,
        cache_dir: Path,
        from_store: bool = False,
    ) -> Repository:
        """Read repository.json and check that it is the one that the keys belong to.

        `state_dir` and `cache_dir` get a directory for this repository. With `from_store` everything that is listed is
        read from the store, also what this host has read before. Errors: see `RepositoryDocument.parse`, and
        ``RepositoryMissingError``, ``ForeignRepositoryError``, ``WrongKeyError``, ``RolledBackError``.
        """
        root = _trusted_root(agent, identity)
        document, hidden = read_newest(storage, root)
        if agent is not None and document.repository != agent.repository:
            raise ForeignRepositoryError(
                f"{storage.url} holds repository {document.repository.hex()},"
                f" the agent key belongs to {agent.repository.hex()}",
                hint=_hint_for_foreign(document, agent),
            )
        own = document.repository.hex()
        state = LocalState(state_dir / own / "state.sqlite")
        try:
            _refuse_rollback(storage, document, state)
            rule = LockRule.of(document.object_lock)
            notes = LockNotes(cache_dir / own / "locks.sqlite")
            versioned = VersionedStorage(storage, _opened_by(document, agent, identity), rule, notes)
            if hidden is not None:
                versioned.notice(hidden)
            keyring = (
                _keyring_of(versioned, document, identity)
                if agent is None
                else _agents_keyring(versioned, document, agent)
            )
            # Not the key file but the root says which catalog key seals what is new.
            keyring = replace(keyring, current=document.catalog_key)
            cache = IndexCache(cache_dir / own / "index.sqlite")
            held = HeldObjects(cache_dir / own / "objects.sqlite", derive(keyring.id_key, "drtool/1/held-objects"))
        except BaseException:
            state.close()
            raise
        return cls(
            versioned,
            document,
            keyring,
            agent=agent,
            identity=identity,
            state=state,
            cache=cache,
            held=held,
            from_store=from_store,
        )

    def reload(self) -> bool:
        """Take in what the root has published since this was opened; whether that was anything. For those who keep a
        repository open for long: otherwise they go on sealing for who reads no more, under a key that was rotated.

        Raises what `open` raises.
        """
        document, hidden = read_newest(self.storage, self.document.root)
        _refuse_rollback(self.storage, document, self.state)
        if hidden is not None:
            self.storage.notice(hidden)
        if document.sequence == self.document.sequence:
            return False
        agent = self.agent
        ring = (
            _keyring_of(self.storage, document, self.identity)
            if agent is None
            else _agents_keyring(self.storage, document, agent)
        )
        # The ring first: it holds every key that it held before, and the document may name one that it did not.
        self.keyring = replace(ring, current=document.catalog_key)
        self.document = document
        self.storage.rule = LockRule.of(document.object_lock)
        return True

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

    def may_sign(self, kind: Kind) -> bool:
        """Does an object of this kind count that this process signs with its own key?"""
        public = self.signer.public
        has_role = any(self.document.allows(public, role) for role in SIGNERS[kind])
        return has_role and not self.document.is_revoked(public)

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
        data = self.storage.get(name) if data is None else data
        vouched = self._held.vouches(kind, name, data)
        opened = open_object(kind, name, data, self.keyring, self.document, vouched=vouched)
        self._held.proved(kind, name, data)
        return opened

    def listing(self, prefix: str) -> Iterator[tuple[str, bytes | DrtoolError | None]]:
        """All objects below a prefix (``snapshots/``), in name order, as `fetch` gives them; see `recall`."""
        there: list[str] = []

        def noted() -> Iterator[ObjectInfo]:
            for info in self.storage.list(prefix):
                there.append(info.name)
                yield info

        yield from self.recall(noted())
        self._held.drop_others(prefix, there)

    def recall(self, objects: Iterable[ObjectInfo]) -> Iterator[tuple[str, bytes | DrtoolError | None]]:
        """Objects as the store lists them, in order, as `fetch` gives them: from this host's cache where it has read
        them before and they are listed as they were then."""
        rest = iter(objects)
        while batch := list(islice(rest, RECALLED)):
            here = {} if self._from_store else self._held.find(batch)
            missing = [info for info in batch if info.name not in here]
            found: dict[str, bytes | DrtoolError | None] = {**here}
            for info, (name, data) in zip(missing, self.fetch(missing), strict=True):
                found[name] = data
                # What stands behind another version unlisted is looked for, and told of, each time.
                if isinstance(data, bytes) and not (info.is_latest and self.storage.hidden((name,))):
                    self._held.read(info, data)
            yield from ((info.name, found[info.name]) for info in batch)
            self._held.keep()

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
                return name, error.about(name)

        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
            yield from pool.map(get, objects)

    def refresh_index(self, progress: Callable[[int, int], None] | None = None) -> list[DrtoolError]:
        """Bring the local index in line with the store: forget objects that vanished, read those that are new.

        Returns what is wrong with index objects; the others count all the same, because one bad object must not keep
        anybody from what the rest still finds.
        """
        return refresh(self, progress)

    def close(self) -> None:
        """Close the local files. The storage is the caller's."""
        self.storage.close()
        self._held.close()
        self.cache.close()
        self.state.close()

    def _announced(self) -> Container[str]:
        from drtool.repository.removals import read_announced  # which reads a repository

        return read_announced(self).hashes

    def _is_genuine(self, name: str, data: bytes) -> bool:
        return is_genuine(name, data, self.keyring, self.document)


def _opened_by(
    document: RepositoryDocument, agent: AgentKey | None, identity: Identity | None
) -> Callable[[str, bytes], bool]:
    """Is it the ring of the key given? All that can be asked of an object before there is a ring."""
    opener = identity if agent is None else agent.ring_opener

    def opens(_name: str, data: bytes) -> bool:
        try:
            return opener is not None and bool(open_keyring(data, document, opener))
        except RepositoryError:
            return False

    return opens


def _check_size(info: ObjectInfo) -> None:
    limit = next((limit for prefix, limit in SIZE_LIMITS.items() if info.name.startswith(prefix)), OTHER_SIZE_LIMIT)
    if info.size > limit:
        raise DamagedObjectError(f"{info.name} has {info.size:,} bytes; no object of its kind has more than {limit:,}")


def _hint_for_foreign(document: RepositoryDocument, agent: AgentKey) -> str:
    if document.lineage == agent.keyring.lineage:
        return (
            "It is a copy: leave repository.agent_key out and name repository.identity to restore from it;"
            " drtool key add --agent makes a key of its own."
        )
    return "Check repository.url and repository.agent_key."


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


def _agents_keyring(storage: Storage, document: RepositoryDocument, agent: AgentKey) -> Keyring:
    """The ring in the agent's own file or, after a rotation, the one that the root sealed to this agent."""
    if document.catalog_key in agent.keyring.catalog:
        return agent.keyring
    opener = agent.ring_opener
    try:
        return open_keyring(storage.get(keys_name(opener.recipient)), document, opener)
    except ObjectMissingError as error:
        if document.is_revoked(agent.signing_key.public):
            raise WrongKeyError("this host's agent key was revoked", hint=_ANOTHER_AGENT) from error
        raise WrongKeyError(
            "the agent key does not hold the repository's current catalog key, and none was left for it in the store",
            hint=_ANOTHER_AGENT,
        ) from error


_ANOTHER_AGENT = "The identity's owner makes another: drtool key add --agent NAME --out FILE"

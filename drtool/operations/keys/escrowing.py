"""An identity under a passphrase, inside the repository: for the day on which every other copy is gone."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import (
    DamagedObjectError,
    ForeignRepositoryError,
    KeyFileError,
    PermissionDeniedError,
    RefusedError,
    RepositoryError,
    RepositoryMissingError,
    UsageError,
    WrongKeyError,
)
from drtool.operations.keys.files import write_key
from drtool.repository.authority import KEYS, Authority
from drtool.repository.erasing import current_objects, erase
from drtool.repository.escrow import SUFFIX, USUAL_COST, Cost, cost_of, escrow_name, open_escrow, seal_escrow
from drtool.repository.identity import Identity
from drtool.repository.newest import read_newest
from drtool.repository.repository import Repository
from drtool.repository.trust import REPOSITORY_NAME
from drtool.storage.base import ObjectInfo, Storage

MIN_LENGTH = 16
MIN_DIFFERENT = 8
#: Fewer words, and fewer characters, than this deserve a warning.
GOOD_WORDS = 6
GOOD_LENGTH = 30
#: An escrow object is below 4 KiB; nobody needs to read a larger one.
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Escrowed:
    """Where an identity lies under a passphrase now; ``replaced``: another passphrase opened it before."""

    name: str
    replaced: bool


def weakness(passphrase: str) -> str | None:
    """What speaks against a passphrase, if something does; ``RefusedError`` for one that is no protection at all."""
    if any(unicodedata.category(character) == "Cc" for character in passphrase):
        raise RefusedError("the passphrase has a control character, which nobody could type again")
    if len(passphrase) < MIN_LENGTH or len(set(passphrase)) < MIN_DIFFERENT:
        raise RefusedError(
            f"the passphrase is too weak: it needs at least {MIN_LENGTH} characters, {MIN_DIFFERENT} of them different",
            hint="Whoever can read the bucket may try as often as he likes. Use six or more random words.",
        )
    if passphrase != passphrase.strip():
        return "the passphrase begins or ends with a space, which is easily lost"
    if len(passphrase.split()) < GOOD_WORDS and len(passphrase) < GOOD_LENGTH:
        return "that passphrase may be guessed by somebody who copies the bucket; six or more random words may not"
    return None


def put_escrow(repository: Repository, authority: Authority, passphrase: str, cost: Cost = USUAL_COST) -> Escrowed:
    """Put the root's identity into the repository under `passphrase`, then read it back and open it.

    An escrow that was there is replaced. Raises what `weakness` raises, before anything is written.
    """
    weakness(passphrase)
    identity = authority.identity
    name = escrow_name(identity.recipient)
    replaced = _is_there(repository.storage, name)
    root = identity.root_key
    authority.put(name, seal_escrow(identity, passphrase, authority.document.repository, root, cost))
    if open_escrow(repository.storage.get(name), name, passphrase).identity != identity:
        raise DamagedObjectError(f"{name} is not what was just put there").about(name)
    return Escrowed(name, replaced)


def remove_escrow(repository: Repository, authority: Authority) -> tuple[str, bool]:
    """Delete the escrow: its name, and whether all of its versions are gone. ``RefusedError`` where there is none."""
    name = escrow_name(authority.identity.recipient)
    if not _is_there(repository.storage, name):
        raise RefusedError("there is no escrow in this repository", hint="drtool key list says what there is.")
    return name, erase(repository.storage, name)


def _is_there(storage: Storage, name: str) -> bool:
    return any(info.name == name for info in current_objects(storage, name))


@dataclass(frozen=True, slots=True)
class Recovered:
    """An identity that came back, and the id (16 bytes) of the repository that it was put there for.

    ``problem`` is what is wrong with that repository's document, None where this identity's root signed it: a copy of
    the repository may be sound all the same, and then the identity opens that.
    """

    identity: Identity
    repository: bytes
    url: str
    problem: RepositoryError | None = None

    def write(self, path: Path) -> None:
        """Write the identity to a new file."""
        about = f"drtool identity of repository {self.repository.hex()}, recovered from its escrow"
        write_key(path, self.identity.to_file(about))


def find_escrow(storage: Storage, fingerprint: str | None = None) -> list[ObjectInfo]:
    """The escrow that is meant: the only one, or the one whose fingerprint begins so.

    Where the store keeps versions, all of them, the newest first: somebody may have hidden or replaced it.
    ``RepositoryMissingError``, ``KeyFileError`` where there is none, ``UsageError`` where there are several.
    """
    found: dict[str, list[ObjectInfo]] = {}
    for info in _versions(storage, KEYS + (fingerprint or "").lower()):
        if info.name.endswith(SUFFIX) and not info.is_delete_marker:
            found.setdefault(info.name, []).append(info)
    if not found and not any(True for _ in storage.list(REPOSITORY_NAME)):
        raise RepositoryMissingError(f"there is no repository at {storage.url}")
    if not found:
        raise KeyFileError(
            f"no identity lies under a passphrase at {storage.url}" + (" with that fingerprint" if fingerprint else ""),
            hint="Look for identity.key itself, its paper, or another recipient's.",
        )
    if len(found) > 1:
        names = ", ".join(name.removeprefix(KEYS).removesuffix(SUFFIX) for name in found)
        raise UsageError("several identities lie under passphrases", hint=f"Say which with --fingerprint: {names}")
    [versions] = found.values()
    return versions


def _versions(storage: Storage, prefix: str) -> list[ObjectInfo]:
    try:
        return list(storage.list_versions(prefix))
    except PermissionDeniedError:
        return list(storage.list(prefix))


def recover(storage: Storage, versions: Sequence[ObjectInfo], passphrase: str) -> Recovered:
    """The identity in the first of an escrow's versions that the passphrase opens. Nothing is written.

    All of them are tried, however many somebody has put over the right one: what costs least before what may cost more
    memory than there is here, then the newer first. Where none opens, raises what `open_escrow` does for the first that
    asks for a passphrase, else for the newest.
    """
    failures: list[RepositoryError] = []
    contents: dict[bytes, Cost] = {}
    name = versions[0].name
    for info in versions:
        try:
            data = _content(storage, info)
            contents.setdefault(data, cost_of(data, name))
        except RepositoryError as error:
            failures.append(error)
    for data in sorted(contents, key=lambda data: contents[data].memory_kib * contents[data].iterations):
        try:
            return _recovered(storage, name, data, passphrase)
        except RepositoryError as error:
            failures.append(error)
    raise next((error for error in failures if isinstance(error, WrongKeyError)), failures[0])


def _content(storage: Storage, info: ObjectInfo) -> bytes:
    if info.size > _LARGEST:
        raise DamagedObjectError(f"{info.name} has {info.size:,} bytes; an escrow has less than {_LARGEST:,}")
    return storage.get(info.name, version=info.version)


def _recovered(storage: Storage, name: str, data: bytes, passphrase: str) -> Recovered:
    released = open_escrow(data, name, passphrase)
    try:
        document, _ = read_newest(storage, released.identity.root)
    except RepositoryError as error:
        return Recovered(released.identity, released.repository, storage.url, error)
    if document.repository != released.repository:
        raise ForeignRepositoryError(f"{name} was made for repository {released.repository.hex()}, not for this one")
    return Recovered(released.identity, released.repository, storage.url)

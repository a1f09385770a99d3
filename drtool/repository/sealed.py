"""Objects under the catalog key: sealed, and signed by whoever wrote them (docs/format.md, "Sealed objects")."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag

from drtool.errors import DamagedObjectError, TamperedError, UnknownSignerError, WrongKeyError
from drtool.repository.keyring import CATALOG_KEY_ID_BYTES, Keyring
from drtool.repository.primitives import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    SigningKey,
    derive,
    seal,
    signature_holds,
    unseal,
)
from drtool.repository.trust import RepositoryDocument, Role

MAGIC = b"drtool\x00\x01"
SALT_BYTES = 32
ID_BYTES = 16
HEADER_BYTES = len(MAGIC) + 1 + CATALOG_KEY_ID_BYTES + SALT_BYTES


class Kind(IntEnum):
    """What a sealed object is; part of its key, its additional data and its signature."""

    INDEX = 1
    DIRECTORY = 2
    MANIFEST = 3
    REMOVAL = 4
    PIN = 5
    DISTRUST = 6
    EVIDENCE = 7
    RUN = 8
    LEASE = 9
    TOMBSTONE = 10
    SEGMENT = 11
    AUDIT = 12

    @property
    def label(self) -> str:
        """The name in derivations and errors."""
        return self.name.lower()


#: These may be copied byte for byte to another repository of the lineage; all others hold in one repository only.
MOVABLE = frozenset({Kind.DIRECTORY, Kind.MANIFEST, Kind.SEGMENT})

#: These say what somebody does just now: a revoked signer's no longer count.
MOMENTARY = frozenset({Kind.RUN, Kind.LEASE, Kind.TOMBSTONE})

#: Which role must have signed an object of each kind; any of them suffices.
SIGNERS: dict[Kind, frozenset[Role]] = {
    Kind.INDEX: frozenset({Role.WRITER, Role.MAINTAINER}),
    Kind.DIRECTORY: frozenset({Role.WRITER, Role.MAINTAINER}),
    Kind.MANIFEST: frozenset({Role.WRITER}),
    Kind.REMOVAL: frozenset({Role.MAINTAINER}),
    Kind.PIN: frozenset({Role.WRITER, Role.VERIFIER, Role.MAINTAINER}),
    Kind.DISTRUST: frozenset({Role.VERIFIER, Role.MAINTAINER}),
    Kind.EVIDENCE: frozenset({Role.WRITER, Role.VERIFIER}),
    Kind.RUN: frozenset({Role.WRITER, Role.VERIFIER, Role.MAINTAINER}),
    Kind.LEASE: frozenset({Role.WRITER, Role.VERIFIER, Role.MAINTAINER}),
    Kind.TOMBSTONE: frozenset({Role.MAINTAINER}),
    Kind.SEGMENT: frozenset({Role.WRITER}),
    Kind.AUDIT: frozenset({Role.WRITER, Role.VERIFIER, Role.MAINTAINER}),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed object's content, and who signed it."""

    payload: bytes
    signer: bytes


def seal_object(
    kind: Kind, name: str, payload: bytes, keyring: Keyring, signer: SigningKey, repository: bytes = b""
) -> bytes:
    """The object to store. `name` is its name in the store, or "" where the name is the object's hash.

    `repository` is the id of the repository that it is for; those that are `MOVABLE` need none.
    """
    scope = _scope(kind, keyring.lineage, repository)
    header = MAGIC + bytes([kind]) + keyring.current + os.urandom(SALT_BYTES)
    signature = signer.sign(_signed(kind, name, scope, payload))
    key = _object_key(kind, header, keyring)
    return header + seal(key, 0, signer.public + signature + payload, _aad(header, name, scope))


def open_object(
    kind: Kind,
    name: str,
    data: bytes | memoryview,
    keyring: Keyring,
    document: RepositoryDocument,
    *,
    what: str = "",
    vouched: bool = False,
) -> Opened:
    """The content of an object, provided that a signer with the right role wrote it under this name.

    `what` names it in errors (`name` by default); `vouched` says that the signature of these very bytes has held
    before. ``DamagedObjectError`` when it is truncated or altered or lies under a name that is not its own;
    ``TamperedError`` when whoever signed it was not allowed to (``UnknownSignerError`` where the root never did).
    """
    what = what or name
    scope = _scope(kind, keyring.lineage, document.repository)
    header = bytes(data[:HEADER_BYTES])
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise DamagedObjectError(f"{what} is truncated, or no object of drtool")
    if header[len(MAGIC)] != kind:
        raise DamagedObjectError(f"{what} holds an object of another kind than its name says")
    try:
        key = _object_key(kind, header, keyring)
    except WrongKeyError as error:
        raise WrongKeyError(f"{what}: {error.message}", hint=error.hint) from error
    try:
        plain = unseal(key, 0, data[HEADER_BYTES:], _aad(header, name, scope))
    except InvalidTag as error:
        raise DamagedObjectError(
            f"{what} is truncated or altered, or was put under a name that is not its own",
            hint="Compare with a copy of the repository; a bucket with versions may still hold the right object.",
        ) from error
    public, signature = plain[:KEY_BYTES], plain[KEY_BYTES : KEY_BYTES + SIGNATURE_BYTES]
    payload = plain[KEY_BYTES + SIGNATURE_BYTES :]
    if not any(document.allows(public, role) for role in SIGNERS[kind]):
        raise UnknownSignerError(
            f"{what} was signed by {public.hex()[:16]}, whom the root did not allow to sign a {kind.label}"
        )
    if kind in MOMENTARY and document.is_revoked(public):
        raise TamperedError(f"{what} was signed by {document.name_of(public)}, whose key was revoked")
    if not vouched and not signature_holds(public, signature, _signed(kind, name, scope, payload)):
        raise TamperedError(f"the signature of {what} does not hold")
    return Opened(payload, public)


def _object_key(kind: Kind, header: bytes, keyring: Keyring) -> bytes:
    key_id = header[len(MAGIC) + 1 :][:CATALOG_KEY_ID_BYTES]
    return derive(keyring.catalog_key(key_id), f"drtool/1/{kind.label}", salt=header[-SALT_BYTES:])


def _scope(kind: Kind, lineage: bytes, repository: bytes) -> bytes:
    """Lineage and repository, 32 bytes: what was sealed for one repository means nothing in another one."""
    if kind in MOVABLE:
        return lineage + bytes(ID_BYTES)
    if len(repository) != ID_BYTES:
        raise ValueError(f"a {kind.label} is sealed for one repository, whose id has {ID_BYTES} bytes")
    return lineage + repository


def _aad(header: bytes, name: str, scope: bytes) -> bytes:
    return header + scope + name.encode()


def _signed(kind: Kind, name: str, scope: bytes, payload: bytes) -> bytes:
    encoded = name.encode()
    return f"drtool/1/{kind.label}\0".encode() + scope + len(encoded).to_bytes(2) + encoded + payload

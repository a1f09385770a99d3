"""repository.json and keys/: who may read and who may write, signed by the root.

Each is two lines of JSON: the first is what is signed, byte for byte; the second holds the signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidTag

from drtool.errors import DamagedObjectError, FormatVersionError, TamperedError, WrongKeyError
from drtool.repository.identity import Identity, Recipient
from drtool.repository.keyring import Keyring
from drtool.repository.primitives import SUITE_NAMES, SigningKey, seal_to, signature_holds
from drtool.repository.wire import decode_json, encode_json

FORMAT = 1
REPOSITORY_NAME = "repository.json"


class Role(StrEnum):
    """What the root lets a signer sign."""

    WRITER = "writer"
    VERIFIER = "verifier"
    MAINTAINER = "maintainer"


@dataclass(frozen=True, slots=True)
class Signer:
    """A public signing key (32 bytes) and what it is good for.

    ``ring_to`` is an agent's ring identity, to which the root seals the key ring after a rotation; None without one.
    """

    public: bytes
    name: str
    roles: frozenset[Role]
    added: str
    ring_to: Recipient | None = None


@dataclass(frozen=True, slots=True)
class NamedRecipient:
    """A recipient and the name that people know it by."""

    recipient: Recipient
    name: str
    added: str


@dataclass(frozen=True, slots=True)
class LastGood:
    """Where a revoked signer's chain ends: the number of its last good object, and that object's SHA-256 (hex)."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """From now on nothing new of this signer counts; ``last`` maps its chains (see `chain_name`) to their ends."""

    public: bytes
    at: str
    last: Mapping[str, LastGood]


@dataclass(frozen=True, slots=True)
class RepositoryDocument:
    """What repository.json says, once its signature has been checked."""

    repository: bytes
    lineage: bytes
    root: bytes
    sequence: int
    created: str
    catalog_key: bytes
    recipients: tuple[NamedRecipient, ...]
    signers: tuple[Signer, ...]
    revocations: tuple[Revocation, ...] = ()
    object_lock: Mapping[str, Any] | None = None

    def allows(self, public: bytes, role: Role) -> bool:
        """Did the root give the holder of `public` this role?"""
        return any(signer.public == public and role in signer.roles for signer in self.signers)

    def name_of(self, public: bytes) -> str:
        """The signer's name, or the beginning of its key where it is unknown."""
        return next((s.name for s in self.signers if s.public == public), public.hex()[:16])

    def is_revoked(self, public: bytes) -> bool:
        """Does nothing new of this signer count?"""
        return any(revocation.public == public for revocation in self.revocations)

    def accepts(self, public: bytes, chain: str, number: int, hash_: str) -> bool:
        """Does a numbered object of a signer count, revocations considered? `hash_` is the object's SHA-256 (hex)."""
        for revocation in self.revocations:
            if revocation.public == public:
                last = revocation.last.get(chain)
                if last is None or number > last.number or (number == last.number and hash_ != last.hash):
                    return False
        return True

    def next(self, **changes: Any) -> RepositoryDocument:
        """The following version, with `changes`."""
        return replace(self, sequence=self.sequence + 1, **changes)

    def sign(self, root: SigningKey) -> bytes:
        """The object to store."""
        return sign_lines("repository", self._to_json(), root)

    def _to_json(self) -> dict[str, Any]:
        return {
            "drtool": "repository",
            "format": FORMAT,
            "suites": SUITE_NAMES,
            "repository": self.repository.hex(),
            "lineage": self.lineage.hex(),
            "root": self.root.hex(),
            "sequence": self.sequence,
            "created": self.created,
            "catalog_key": self.catalog_key.hex(),
            "recipients": [
                {
                    "fingerprint": r.recipient.fingerprint.hex(),
                    "public": r.recipient.to_text(),
                    "name": r.name,
                    "added": r.added,
                }
                for r in self.recipients
            ],
            "signers": [
                {"key": s.public.hex(), "name": s.name, "roles": sorted(s.roles), "added": s.added}
                | ({"public": s.ring_to.to_text()} if s.ring_to is not None else {})
                for s in self.signers
            ],
            "revocations": [
                {
                    "key": r.public.hex(),
                    "at": r.at,
                    "last": {chain: {"number": end.number, "hash": end.hash} for chain, end in r.last.items()},
                }
                for r in self.revocations
            ],
            "object_lock": self.object_lock,
        }

    @classmethod
    def parse(cls, data: bytes, root: bytes) -> RepositoryDocument:
        """What `root` signed; everything else is an error.

        ``FormatVersionError`` for another format, ``WrongKeyError`` for another root, ``TamperedError``
        for a signature that does not hold, ``DamagedObjectError`` for anything that cannot be read.
        """
        fields = _first_line(data, REPOSITORY_NAME)
        if fields.get("drtool") != "repository":
            raise DamagedObjectError(f"{REPOSITORY_NAME} does not describe a drtool repository")
        if fields.get("format") != FORMAT:
            raise FormatVersionError(
                f"the repository has format {fields.get('format')}; this version of drtool knows format {FORMAT}"
            )
        if fields.get("root") != root.hex():
            raise WrongKeyError(
                "the repository's root key is not the one that your key trusts",
                hint="Either the key belongs to another repository, or somebody replaced repository.json.",
            )
        if fields.get("suites") != SUITE_NAMES:
            raise FormatVersionError("the repository names cryptographic suites that this version does not know")
        checked_lines("repository", data, root, REPOSITORY_NAME)
        try:
            return cls._from_json(fields)
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            raise DamagedObjectError(f"{REPOSITORY_NAME} lacks something: {error}") from error

    @classmethod
    def _from_json(cls, fields: Mapping[str, Any]) -> RepositoryDocument:
        return cls(
            repository=bytes.fromhex(fields["repository"]),
            lineage=bytes.fromhex(fields["lineage"]),
            root=bytes.fromhex(fields["root"]),
            sequence=int(fields["sequence"]),
            created=str(fields["created"]),
            catalog_key=bytes.fromhex(fields["catalog_key"]),
            recipients=tuple(
                NamedRecipient(Recipient.from_text(r["public"]), r["name"], r["added"]) for r in fields["recipients"]
            ),
            signers=tuple(
                Signer(
                    bytes.fromhex(s["key"]),
                    s["name"],
                    _known_roles(s["roles"]),
                    s["added"],
                    Recipient.from_text(s["public"]) if "public" in s else None,
                )
                for s in fields["signers"]
            ),
            revocations=tuple(
                Revocation(
                    bytes.fromhex(r["key"]),
                    r["at"],
                    {chain: LastGood(int(end["number"]), end["hash"]) for chain, end in r["last"].items()},
                )
                for r in fields["revocations"]
            ),
            object_lock=fields["object_lock"],
        )


def _known_roles(names: Sequence[str]) -> frozenset[Role]:
    """Roles that a later version may have added grant nothing here."""
    return frozenset(Role(name) for name in names if name in set(Role))


def sign_lines(kind: str, fields: Mapping[str, Any], root: SigningKey) -> bytes:
    """A two-line object: `fields`, and the root's signature over that line."""
    line = encode_json(fields)
    signature = root.sign(f"drtool/1/{kind}\0".encode() + line)
    return line + b"\n" + encode_json({"root": root.public.hex(), "signature": signature.hex()}) + b"\n"


def checked_lines(kind: str, data: bytes, root: bytes, name: str) -> dict[str, Any]:
    """The first line of a two-line object, provided that `root` signed it."""
    line, _, rest = data.partition(b"\n")
    second = decode_json(rest, f"the second line of {name}")
    try:
        signature = bytes.fromhex(second["signature"])
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedObjectError(f"{name} holds no signature") from error
    if not signature_holds(root, signature, f"drtool/1/{kind}\0".encode() + line):
        raise TamperedError(f"{name} was not signed by the repository's root key")
    return decode_json(line, name)


def _first_line(data: bytes, name: str) -> dict[str, Any]:
    return decode_json(data.partition(b"\n")[0], name)


def chain_name(origin: str, job: str) -> str:
    """What `Revocation.last` calls the manifests of a job: `origin` is the repository (hex) that they were made in."""
    return f"{origin}/{job}"


def keys_name(recipient: Recipient) -> str:
    """Where the catalog keys and the id key lie for a recipient."""
    return f"keys/{recipient.fingerprint.hex()}"


def seal_keyring(keyring: Keyring, repository: bytes, recipient: Recipient, root: SigningKey) -> bytes:
    """The object for `keys_name`."""
    sealed = seal_to(recipient.public, encode_json(keyring.to_json()), _keys_info(keyring.lineage, recipient))
    fields = {
        "drtool": "keys",
        "format": FORMAT,
        "repository": repository.hex(),
        "lineage": keyring.lineage.hex(),
        "recipient": recipient.fingerprint.hex(),
        "sealed": base64.b64encode(sealed).decode(),
    }
    return sign_lines("keys", fields, root)


def open_keyring(data: bytes, document: RepositoryDocument, identity: Identity) -> Keyring:
    """The keys that were sealed to `identity`."""
    name = keys_name(identity.recipient)
    fields = checked_lines("keys", data, document.root, name)
    if fields.get("repository") != document.repository.hex():
        raise TamperedError(f"{name} belongs to another repository")
    try:
        sealed = base64.b64decode(fields["sealed"], validate=True)
        plain = identity.opening_key.open(sealed, _keys_info(document.lineage, identity.recipient))
        keyring = Keyring.from_json(document.lineage, decode_json(plain, name))
    except InvalidTag as error:
        raise WrongKeyError(f"the identity given does not open {name}") from error
    except (KeyError, ValueError, TypeError, binascii.Error) as error:
        raise DamagedObjectError(f"{name} lacks something: {error}") from error
    if document.catalog_key not in keyring.catalog:
        raise TamperedError(f"{name} is older than repository.json: it lacks the current catalog key")
    return keyring


def _keys_info(lineage: bytes, recipient: Recipient) -> bytes:
    return b"drtool/1/keys\0" + lineage + recipient.fingerprint


def utc_now() -> str:
    """The time as key documents state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")

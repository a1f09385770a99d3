"""keys/<fingerprint>.escrow: an identity under a passphrase (docs/format.md)."""

from __future__ import annotations

import base64
import binascii
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from drtool.errors import DamagedObjectError, FormatVersionError, RepositoryError, TamperedError, WrongKeyError
from drtool.repository.identity import Identity, Recipient
from drtool.repository.primitives import KEY_BYTES, SigningKey, seal, unseal
from drtool.repository.trust import FORMAT, checked_lines, keys_name, sign_lines
from drtool.repository.wire import decode_json

SUFFIX = ".escrow"
SALT_BYTES = 16
MEMORY_KIB = range(65_536, 4_194_304 + 1)
ITERATIONS = range(1, 16 + 1)
LANES = range(1, 16 + 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What trying one passphrase costs with Argon2id (RFC 9106). ``ValueError`` outside of the format's bounds."""

    memory_kib: int
    iterations: int
    lanes: int

    def __post_init__(self) -> None:
        named = {"memory_kib": MEMORY_KIB, "iterations": ITERATIONS, "lanes": LANES}
        for name, allowed in named.items():
            value = getattr(self, name)
            if type(value) is not int or value not in allowed:
                raise ValueError(f"{name} is {value!r}, not {allowed.start:,} to {allowed.stop - 1:,}")


#: 256 MiB, about a second on a current core: what a small machine in an emergency still has.
USUAL_COST = Cost(memory_kib=262_144, iterations=4, lanes=4)


def escrow_name(recipient: Recipient) -> str:
    """Where a recipient's identity lies under a passphrase."""
    return keys_name(recipient) + SUFFIX


def seal_escrow(
    identity: Identity, passphrase: str, repository: bytes, root: SigningKey, cost: Cost = USUAL_COST
) -> bytes:
    """The object for `escrow_name`."""
    salt = os.urandom(SALT_BYTES)
    fingerprint = identity.recipient.fingerprint
    text = identity.to_file(f"drtool identity of repository {repository.hex()}, from its escrow")
    sealed = seal(_key(passphrase, salt, cost), 0, text.encode(), _aad(repository, fingerprint))
    fields = {
        "drtool": "escrow",
        "format": FORMAT,
        "repository": repository.hex(),
        "recipient": fingerprint.hex(),
        "kdf": {
            "name": "argon2id",
            "salt": salt.hex(),
            "memory_kib": cost.memory_kib,
            "iterations": cost.iterations,
            "lanes": cost.lanes,
        },
        "sealed": base64.b64encode(sealed).decode(),
    }
    return sign_lines("escrow", fields, root)


@dataclass(frozen=True, slots=True)
class Released:
    """An identity that came out of escrow, and the repository (16 bytes) that it was put there for."""

    identity: Identity
    repository: bytes


def cost_of(data: bytes, name: str) -> Cost:
    """What trying a passphrase on an escrow object of this name costs; ``DamagedObjectError`` where it is none."""
    return _parse(data, name).cost


def open_escrow(data: bytes, name: str, passphrase: str) -> Released:
    """The identity in an escrow object of this name.

    Costs the memory and time that the object asks for, within the format's bounds; outside of them it is a
    ``DamagedObjectError`` before anything is computed. ``WrongKeyError`` for a wrong passphrase, ``TamperedError``
    where the root of the identity that came out did not sign this.
    """
    said = _parse(data, name)
    try:
        key = _key(passphrase, said.salt, said.cost)
        text = unseal(key, 0, said.sealed, _aad(said.repository, said.fingerprint)).decode()
    except (InvalidTag, UnicodeDecodeError) as error:
        raise WrongKeyError(
            f"the passphrase does not open {name}",
            hint="Mistyped? Capitals, spaces and the keyboard's layout count. Nothing was changed; try again.",
        ) from error
    identity = Identity.from_text(text, name)
    checked_lines("escrow", data, identity.root, name)
    if identity.recipient.fingerprint != said.fingerprint:
        raise TamperedError(f"{name} holds another identity than it says").about(name)
    return Released(identity, said.repository)


@dataclass(frozen=True, slots=True)
class _Fields:
    repository: bytes
    fingerprint: bytes
    salt: bytes
    cost: Cost
    sealed: bytes


def _parse(data: bytes, name: str) -> _Fields:
    """What an object says; nobody has vouched for it yet."""
    fields = decode_json(data.partition(b"\n")[0], name)
    _require_format(fields, name)
    try:
        return _Fields(
            bytes.fromhex(fields["repository"]),
            bytes.fromhex(fields["recipient"]),
            *_costs(fields["kdf"]),
            base64.b64decode(fields["sealed"], validate=True),
        )
    except (KeyError, ValueError, TypeError, binascii.Error) as error:
        raise DamagedObjectError(f"{name} cannot be used: {error}").about(name) from error


def _require_format(fields: Mapping[str, Any], name: str) -> None:
    if fields.get("drtool") != "escrow":
        raise DamagedObjectError(f"{name} holds no identity under a passphrase").about(name)
    if fields.get("format") != FORMAT:
        raise FormatVersionError(f"{name} has format {fields.get('format')}; this version knows format {FORMAT}")


def _costs(kdf: Mapping[str, Any]) -> tuple[bytes, Cost]:
    if kdf["name"] != "argon2id":
        raise ValueError(f"its key derivation is {kdf['name']!r}, which this version does not know")
    salt = bytes.fromhex(kdf["salt"])
    if len(salt) != SALT_BYTES:
        raise ValueError(f"its salt has {len(salt)} bytes instead of {SALT_BYTES}")
    return salt, Cost(kdf["memory_kib"], kdf["iterations"], kdf["lanes"])


def _key(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    derivation = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    )
    try:
        return derivation.derive(unicodedata.normalize("NFC", passphrase).encode())
    except MemoryError as error:
        raise RepositoryError(
            f"the passphrase needs {cost.memory_kib // 1024:,} MiB of memory, which this machine does not have free",
            hint="Use a larger machine, or end what needs memory here.",
        ) from error


def _aad(repository: bytes, fingerprint: bytes) -> bytes:
    return b"drtool/1/escrow\0" + repository + fingerprint

"""Sealed objects, whatever they hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.format.keys import Trust, derive, json_object, reading, require

_MAGIC = b"drtool\x00\x01"
_HEADER = 49
_SIGNED = 32 + 64
_TAG = 16
_ID = r"\d{8}t\d{6}z-[0-9a-f]{10}"


@dataclass(frozen=True)
class Kind:
    """A row of the page's table of kinds; `names` is what an object of it is called."""

    number: int
    word: str
    signers: frozenset[str]
    names: str = ""
    id_field: str = ""
    """The field of the payload that holds the id in the name; "" where the payload is not JSON."""

    @property
    def is_named(self) -> bool:
        return self.number not in {1, 2}

    @property
    def may_be_copied(self) -> bool:
        """To another repository of the lineage, byte for byte."""
        return self.number in {2, 3, 11}

    @property
    def ends_with_revocation(self) -> bool:
        return self.word in {"run", "lease", "tombstone"}


_ANY = frozenset({"writer", "verifier", "maintainer"})
INDEX = Kind(1, "index", frozenset({"writer", "maintainer"}), "index/[0-9a-f]{64}")
DIRECTORY = Kind(2, "directory", frozenset({"writer", "maintainer"}))
MANIFEST = Kind(3, "manifest", frozenset({"writer"}), f"snapshots/{_ID}", "snapshot")
SEGMENT = Kind(
    11, "segment", frozenset({"writer"}), "oplog/[0-9a-f]{32}/[0-9a-f]{32}/[0-9a-f]{16}-[0-9a-f]{16}", "segment"
)
AUDIT = Kind(12, "audit", _ANY, f"audit/{_ID}", "audit")
REMOVAL = Kind(4, "removal", frozenset({"maintainer"}), f"removals/{_ID}", "removal")
KINDS = (
    INDEX,
    DIRECTORY,
    MANIFEST,
    REMOVAL,
    Kind(5, "pin", _ANY, f"pins/{_ID}", "pin"),
    Kind(6, "distrust", frozenset({"verifier", "maintainer"}), f"distrust/{_ID}", "distrust"),
    Kind(7, "evidence", frozenset({"writer", "verifier"}), f"evidence/{_ID}", "evidence"),
    Kind(8, "run", _ANY, f"runs/{_ID}", "run"),
    Kind(9, "lease", _ANY, r"leases/(?!probe-)[a-z0-9._-]+", "lease"),
    Kind(10, "tombstone", frozenset({"maintainer"}), f"tombstones/{_ID}", "tombstone"),
    SEGMENT,
    AUDIT,
)


@dataclass(frozen=True)
class Sealed:
    """A sealed object that passed its checks. `hash` is the object's SHA-256, hex."""

    kind: Kind
    name: str
    signer: bytes
    hash: str
    payload: bytes

    @property
    def fields(self) -> dict[str, Any]:
        return json_object(self.payload)


def names(directory: Path, kind: Kind) -> Iterator[str]:
    """The objects of `kind`; whatever else lies there is passed over."""
    for path in sorted((directory / kind.names.partition("/")[0]).rglob("*")):
        name = path.relative_to(directory).as_posix()
        if re.fullmatch(kind.names, name):
            yield name


def read_sealed(directory: Path, trust: Trust, kind: Kind, name: str) -> Sealed:
    """Read an object with all checks that its kind asks for; ``FormatError`` names it."""
    data = (directory / name).read_bytes()
    with reading(name):
        sealed = open_sealed(trust, kind, name, data)
        if kind.id_field:
            fields = sealed.fields
            require(fields["format"] == 1, "is of another format")
            inside = name if kind is SEGMENT else name.partition("/")[2]
            require(fields[kind.id_field] == inside, "has another id inside")
            if kind.word == "evidence" and fields["level"] not in {"listed", "intact"}:
                require("verifier" in trust.roles[sealed.signer], "claims a level that takes a verifier")
    return sealed


def open_sealed(trust: Trust, kind: Kind, name: str, data: bytes) -> Sealed:
    """Open `data`, found under `name`; checks in the page's order."""
    require(len(data) >= _HEADER + _SIGNED + _TAG and data.startswith(_MAGIC), "is no sealed object")
    require(data[8] == kind.number, "is of another kind than its name says")
    digest = hashlib.sha256(data).hexdigest()
    if kind is INDEX:
        require(name == f"index/{digest}", "does not have its hash as name")
    header, salt = data[:_HEADER], data[17:_HEADER]
    scope = trust.lineage + (bytes(16) if kind.may_be_copied else trust.repository)
    bound_name = name.encode() if kind.is_named else b""
    key = derive(trust.catalog_keys[data[9:17]], f"drtool/1/{kind.word}", salt)
    plain = AESGCM(key).decrypt(bytes(12), data[_HEADER:], header + scope + bound_name)
    signer, signature, payload = plain[:32], plain[32:_SIGNED], plain[_SIGNED:]
    require(bool(trust.roles.get(signer, frozenset()) & kind.signers), "was signed by nobody who may")
    if kind.ends_with_revocation:
        require(signer not in trust.revocations, "was signed by a revoked signer")
    signed = b"drtool/1/%s\0" % kind.word.encode() + scope + len(bound_name).to_bytes(2, "big") + bound_name + payload
    Ed25519PublicKey.from_public_bytes(signer).verify(signature, signed)
    return Sealed(kind, name, signer, digest, payload)

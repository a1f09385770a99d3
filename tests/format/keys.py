"""Who may read and who is believed: the identity file, `repository.json`, `keys/<fingerprint>`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITES = {
    "kem": "MLKEM768-X25519",
    "kdf": "HKDF-SHA256",
    "aead": "AES-256-GCM",
    "signature": "Ed25519",
    "chunk_id": "BLAKE3-keyed",
    "object_name": "SHA-256",
}
SEALED_KEY = 1168
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PREFIX = "DRTOOL-IDENTITY-1-"
_DAMAGE = (InvalidTag, InvalidSignature, KeyError, TypeError, ValueError, struct.error, zstandard.ZstdError)


class FormatError(Exception):
    """Something is not as the page says."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever does not fit inside becomes a ``FormatError`` that names `what`."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from error
    except _DAMAGE as error:
        raise FormatError(f"{what}: {type(error).__name__} {error}".rstrip()) from error


def require(condition: bool, otherwise: str) -> None:
    """``FormatError`` with `otherwise` unless `condition`."""
    if not condition:
        raise FormatError(otherwise)


def derive(secret: bytes, info: str, salt: bytes = b"", length: int = 32) -> bytes:
    """HKDF-SHA256, extract and expand."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=info.encode()).derive(secret)


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object that `data` is."""
    value = json.loads(data)
    require(isinstance(value, dict), "is no JSON object")
    return dict(value)


@dataclass(frozen=True)
class Identity:
    """What an identity file says: the key that reads, and the root to believe (an Ed25519 public key)."""

    private: MLKEM768X25519PrivateKey
    fingerprint: bytes
    root: bytes

    def unseal(self, sealed: bytes, info: bytes) -> bytes:
        """Open an HPKE message (encapsulated key, then ciphertext); ``InvalidTag``."""
        return _HPKE.decrypt(sealed, self.private, info)


def read_identity(text: str) -> Identity:
    """Read the text of an identity file."""
    root, secret = None, None
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        if line.upper().startswith(_PREFIX) and secret is None:
            secret = _secret(line[len(_PREFIX) :])
        elif re.fullmatch("root [0-9a-f]{64}", line) and root is None and secret is None:
            root = bytes.fromhex(line[5:])
        else:
            raise FormatError("the identity file has a line that does not belong there")
    if secret is None:
        raise FormatError("the identity file holds no identity")
    mlkem = MLKEM768PrivateKey.from_seed_bytes(derive(secret, "drtool/1/identity/mlkem", length=64))
    x25519 = X25519PrivateKey.from_private_bytes(derive(secret, "drtool/1/identity/x25519"))
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    own_root = Ed25519PrivateKey.from_private_bytes(derive(secret, "drtool/1/identity/root"))
    return Identity(
        private=MLKEM768X25519PrivateKey(mlkem, x25519),
        fingerprint=hashlib.sha256(b"drtool/1/recipient\0" + public).digest()[:16],
        root=root or own_root.public_key().public_bytes_raw(),
    )


def read_escrow(data: bytes, passphrase: str) -> str:
    """The text of the identity file in an escrow object: all that is needed besides the store."""
    fields = json_object(data.partition(b"\n")[0])
    with reading("the escrow"):
        require(fields["drtool"] == "escrow", "is no escrow")
        require(fields["format"] == 1, "is of another format")
        kdf = fields["kdf"]
        require(kdf["name"] == "argon2id", "asks for another key derivation")
        require(65_536 <= kdf["memory_kib"] <= 4_194_304, "asks for too little or too much memory")
        require(1 <= kdf["iterations"] <= 16 and 1 <= kdf["lanes"] <= 16, "asks for too little or too much time")
        repository, fingerprint = bytes.fromhex(fields["repository"]), bytes.fromhex(fields["recipient"])
        argon = Argon2id(
            salt=bytes.fromhex(kdf["salt"]),
            length=32,
            iterations=kdf["iterations"],
            lanes=kdf["lanes"],
            memory_cost=kdf["memory_kib"],
        )
        key = argon.derive(unicodedata.normalize("NFC", passphrase).encode())
        sealed = base64.b64decode(fields["sealed"], validate=True)
        aad = b"drtool/1/escrow\0" + repository + fingerprint
        text = AESGCM(key).decrypt(bytes(12), sealed, aad).decode()
        identity = read_identity(text)
        require(identity.fingerprint == fingerprint, "holds another identity")
        _signed_lines(data, "escrow", identity.root)
    return text


def typed_in(paper: str) -> str:
    """An identity line from the groups of a paper key, each with its check character."""
    groups = re.findall(r"([A-Z2-7]+)/([A-Z2-7])", paper.upper())
    for number, (group, check) in enumerate(groups, start=1):
        require(_check_character(number, group) == check, f"group {number} is mistyped")
    return _PREFIX + "-".join(group for group, _ in groups)


def _check_character(number: int, group: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    found = number
    for place, letter in enumerate(group, start=1):
        value = letters.index(letter)
        for _ in range(place):  # times x, modulo x^5 + x^2 + 1
            value = value << 1 ^ (0b100101 if value & 16 else 0)
        found ^= value
    return letters[found]


def _secret(encoded: str) -> bytes:
    letters = re.sub(r"[-\s]", "", encoded).upper()
    with reading("the identity"):
        require(len(letters) == 58, "has not 58 characters")
        data = base64.b32decode(letters + "=" * 6)
        require(hashlib.sha256(data[:32]).digest()[:4] == data[32:], "has a wrong checksum: it was mistyped")
    return data[:32]


@dataclass(frozen=True)
class Trust:
    """What the root signed, and the keys that it sealed to this identity."""

    identity: Identity
    repository: bytes
    lineage: bytes
    sequence: int
    roles: Mapping[bytes, frozenset[str]]
    """By public key of the signer."""
    revocations: Mapping[bytes, Mapping[str, Any]]
    """By public key; chain → the last number and hash that still count."""
    catalog_keys: Mapping[bytes, bytes]
    id_key: bytes

    def chunk_id_key(self, kind: str) -> bytes:
        """The key of the ids of `data`, `catalog` or `private` chunks."""
        return derive(self.id_key, f"drtool/1/chunk-id/{kind}")


def open_trust(directory: Path, identity: Identity, seen_sequence: int = 0) -> Trust:
    """Check `repository.json` and this identity's object in `keys/`, and open that.

    `seen_sequence`: the highest of this repository that the caller remembers.
    """
    with reading("repository.json"):
        head = _signed_lines((directory / "repository.json").read_bytes(), "repository", identity.root)
        require(head["sequence"] >= seen_sequence, "is an old version, put back")
        repository, lineage = bytes.fromhex(head["repository"]), bytes.fromhex(head["lineage"])
        require(len(repository) == len(lineage) == 16, "an id has not 16 bytes")
        roles = {bytes.fromhex(signer["key"]): frozenset(signer["roles"]) for signer in head["signers"]}
        revocations = {bytes.fromhex(entry["key"]): dict(entry["last"]) for entry in head["revocations"]}
        newest = bytes.fromhex(head["catalog_key"])
    name = f"keys/{identity.fingerprint.hex()}"
    if not (directory / name).exists():
        raise FormatError(f"{name} is missing: this identity is no recipient here")
    with reading(name):
        keys = _signed_lines((directory / name).read_bytes(), "keys", identity.root)
        require(keys["repository"] == repository.hex(), "belongs to another repository")
        info = b"drtool/1/keys\0" + lineage + identity.fingerprint
        ring = json_object(identity.unseal(base64.b64decode(keys["sealed"], validate=True), info))
        catalog_keys = {bytes.fromhex(key["id"]): bytes.fromhex(key["key"]) for key in ring["catalog_keys"]}
        require(newest in catalog_keys, "holds no current catalog key: it is an old version, put back")
        id_key = bytes.fromhex(ring["id_key"])
    return Trust(identity, repository, lineage, head["sequence"], roles, revocations, catalog_keys, id_key)


def _signed_lines(data: bytes, kind: str, root: bytes) -> dict[str, Any]:
    """The first line, if it is of this `kind` and the root signed it."""
    lines = data.split(b"\n")
    require(len(lines) == 3 and not lines[2], "has not two lines")
    first = json_object(lines[0])
    require(first.get("drtool") == kind, f"is no {kind}")
    require(first.get("format") == 1, "is of another format")
    if kind == "repository":
        require(first["root"] == root.hex(), "has another root than the identity file")
        require(first["suites"] == SUITES, "names other algorithms")
    signature = bytes.fromhex(json_object(lines[1])["signature"])
    Ed25519PublicKey.from_public_bytes(root).verify(signature, b"drtool/1/%s\0" % kind.encode() + lines[0])
    return first

"""The cryptographic suite of format 1 (docs/format.md, "Suite") and nothing else.

HPKE (RFC 9180, base mode) with the MLKEM768-X25519 hybrid KEM (id 0x647a, draft-ietf-hpke-pq), HKDF-SHA256
and AES-256-GCM; Ed25519; keyed BLAKE3.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITE_NAMES = {
    "kem": "MLKEM768-X25519",
    "kdf": "HKDF-SHA256",
    "aead": "AES-256-GCM",
    "signature": "Ed25519",
    "chunk_id": "BLAKE3-keyed",
    "object_name": "SHA-256",
}

KEY_BYTES = 32
TAG_BYTES = 16
SIGNATURE_BYTES = 64
MLKEM_PUBLIC_BYTES = 1184
HPKE_PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
HPKE_ENC_BYTES = 1120
SEALED_KEY_BYTES = HPKE_ENC_BYTES + KEY_BYTES + TAG_BYTES

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def derive(secret: bytes, info: str, *, salt: bytes = b"", length: int = KEY_BYTES) -> bytes:
    """HKDF-SHA256 (RFC 5869) of `secret`: `length` bytes for the purpose `info`."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=info.encode()).derive(secret)


def nonce(counter: int) -> bytes:
    """The 96-bit nonce of the `counter`-th message under a key."""
    return counter.to_bytes(12)


def seal(key: bytes, counter: int, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM: ciphertext and tag."""
    return AESGCM(key).encrypt(nonce(counter), plaintext, aad)


def unseal(key: bytes, counter: int, ciphertext: bytes | memoryview, aad: bytes) -> bytes:
    """The plaintext; ``InvalidTag`` when the key, the data or `aad` is not what was sealed."""
    return AESGCM(key).decrypt(nonce(counter), ciphertext, aad)


class SigningKey:
    """An Ed25519 private key, made from its 32-byte seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature."""
        return self._key.sign(message)


def signature_holds(public: bytes, signature: bytes, message: bytes) -> bool:
    """Did the holder of `public` (32 bytes) sign `message`?"""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class OpeningKey:
    """An HPKE private key, made from the seeds of its two halves (64 and 32 bytes)."""

    def __init__(self, mlkem_seed: bytes, x25519_seed: bytes) -> None:
        mlkem = MLKEM768PrivateKey.from_seed_bytes(mlkem_seed)
        x25519 = X25519PrivateKey.from_private_bytes(x25519_seed)
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """What was sealed to this key with `info`; ``InvalidTag`` when it was not."""
        try:
            return _SUITE.decrypt(sealed, self._key, info=info)
        except ValueError as error:  # too short to hold an encapsulated key
            raise InvalidTag from error


def seal_to(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal to an HPKE public key (1184 bytes of ML-KEM-768, then 32 of X25519): 1120 bytes enc, ciphertext, tag."""
    key = MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:]),
    )
    return _SUITE.encrypt(plaintext, key, info=info)

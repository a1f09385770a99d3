"""Identities (who can read data, and who is root) and recipients (whom data is sealed to)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import cached_property

from drtool.errors import KeyFileError
from drtool.repository.primitives import HPKE_PUBLIC_BYTES, KEY_BYTES, OpeningKey, SigningKey, derive

IDENTITY_PREFIX = "DRTOOL-IDENTITY-1-"
RECIPIENT_PREFIX = "drtool-recipient-1-"
FINGERPRINT_BYTES = 16
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Recipient:
    """The public half of an identity: 1216 bytes of HPKE public key."""

    public: bytes

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that name the recipient everywhere."""
        return hashlib.sha256(b"drtool/1/recipient\0" + self.public).digest()[:FINGERPRINT_BYTES]

    def to_text(self) -> str:
        """The line that one gives away: the key, and the beginning of its fingerprint as a checksum."""
        raw = self.public + self.fingerprint[:_CHECK_BYTES]
        return RECIPIENT_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Recipient:
        """The recipient that `to_text` wrote."""
        line = text.strip()
        if not line.startswith(RECIPIENT_PREFIX):
            raise KeyFileError("this is not a drtool recipient", hint=f"It begins with {RECIPIENT_PREFIX}")
        body = line.removeprefix(RECIPIENT_PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise KeyFileError("the recipient has characters that do not belong there") from error
        recipient = cls(raw[:HPKE_PUBLIC_BYTES])
        if len(raw) != HPKE_PUBLIC_BYTES + _CHECK_BYTES or not raw.endswith(recipient.fingerprint[:_CHECK_BYTES]):
            raise KeyFileError(
                "the recipient is altered or cut off: its checksum does not fit", hint="Fetch it again, whole."
            )
        return recipient


@dataclass(frozen=True)
class Identity:
    """A 32-byte secret from which the private keys follow (docs/format.md, "Identity").

    ``pinned_root`` is the repository's root public key where this identity is a recipient only; None
    where this identity is the root itself.
    """

    secret: bytes = field(repr=False)
    pinned_root: bytes | None = None

    @classmethod
    def generate(cls, root: bytes | None = None) -> Identity:
        """A new one, which pins `root` if given."""
        return cls(os.urandom(KEY_BYTES), root)

    @cached_property
    def opening_key(self) -> OpeningKey:
        """Opens what is sealed to `recipient`."""
        return OpeningKey(
            derive(self.secret, "drtool/1/identity/mlkem", length=64), derive(self.secret, "drtool/1/identity/x25519")
        )

    @cached_property
    def root_key(self) -> SigningKey:
        """Signs repository.json and keys/ where this identity is the root."""
        return SigningKey(derive(self.secret, "drtool/1/identity/root"))

    @cached_property
    def verifier_key(self) -> SigningKey:
        """Signs evidence."""
        return SigningKey(derive(self.secret, "drtool/1/identity/verifier"))

    @cached_property
    def recipient(self) -> Recipient:
        """The public half."""
        return Recipient(self.opening_key.public)

    @property
    def root(self) -> bytes:
        """The root public key that this identity trusts."""
        return self.pinned_root or self.root_key.public

    def to_line(self) -> str:
        """The secret as one line that can be typed in again: groups of base32 with a checksum."""
        raw = self.secret + hashlib.sha256(self.secret).digest()[:_CHECK_BYTES]
        text = base64.b32encode(raw).decode().rstrip("=")
        return IDENTITY_PREFIX + "-".join(re.findall(".{1,6}", text))

    def to_file(self, comment: str) -> str:
        """The text of an identity file."""
        lines = [f"# {line}" for line in comment.splitlines()]
        lines.append(f"# fingerprint {self.recipient.fingerprint.hex()}")
        if self.pinned_root is not None:
            lines.append(f"root {self.pinned_root.hex()}")
        return "\n".join([*lines, self.to_line(), ""])

    @classmethod
    def from_text(cls, text: str, origin: str) -> Identity:
        """The identity in a file's text; `origin` names the file in errors."""
        secret: bytes | None = None
        pinned: bytes | None = None
        for line in text.splitlines():
            stripped = line.strip()
            if stripped.upper().startswith(IDENTITY_PREFIX):
                if secret is not None:
                    raise KeyFileError(f"{origin} holds several identities", hint="Give each a file of its own.")
                secret = _parse_secret(stripped, origin)
            elif stripped.startswith("root "):
                pinned = _parse_root(stripped, origin)
            elif stripped and not stripped.startswith("#"):
                raise KeyFileError(f"{origin} has a line that does not belong in an identity file")
        if secret is None:
            raise KeyFileError(
                f"{origin} holds no identity",
                hint=f"An identity file has a line that begins with {IDENTITY_PREFIX}; agent.key is another key.",
            )
        return cls(secret, pinned)


def _parse_secret(line: str, origin: str) -> bytes:
    body = re.sub(r"[\s-]", "", line[len(IDENTITY_PREFIX) :].upper())
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError as error:
        raise KeyFileError(f"the identity in {origin} has characters that do not belong there") from error
    secret, check = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(secret) != KEY_BYTES or check != hashlib.sha256(secret).digest()[:_CHECK_BYTES]:
        raise KeyFileError(
            f"the identity in {origin} is mistyped or cut off: its checksum does not fit",
            hint="Compare it group by group with the original.",
        )
    return secret


def _parse_root(line: str, origin: str) -> bytes:
    try:
        root = bytes.fromhex(line.removeprefix("root "))
    except ValueError as error:
        raise KeyFileError(f"the root line in {origin} is not hexadecimal") from error
    if len(root) != KEY_BYTES:
        raise KeyFileError(f"the root line in {origin} has {len(root)} bytes instead of {KEY_BYTES}")
    return root

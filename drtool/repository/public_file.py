"""The public half of an identity as a file: what its holder gives away."""

from __future__ import annotations

from dataclasses import dataclass

from drtool.errors import KeyFileError
from drtool.repository.identity import IDENTITY_PREFIX, Identity, Recipient
from drtool.repository.primitives import KEY_BYTES

_VERIFIER = "verifier "


@dataclass(frozen=True, slots=True)
class PublicHalf:
    """A recipient and, where it is known, the public key by which its holder would sign evidence (32 bytes).

    ``believes`` is the root public key that the identity believes; known only where this was taken from an identity
    file, which should not have left its holder.
    """

    recipient: Recipient
    verifier: bytes | None = None
    believes: bytes | None = None

    @classmethod
    def of(cls, identity: Identity) -> PublicHalf:
        """The public half of an identity."""
        return cls(identity.recipient, identity.verifier_key.public)

    def to_text(self) -> str:
        """The text of a recipient file."""
        lines = [f"# drtool recipient, fingerprint {self.recipient.fingerprint.hex()}", self.recipient.to_text()]
        if self.verifier is not None:
            lines.append(_VERIFIER + self.verifier.hex())
        return "\n".join([*lines, ""])

    @classmethod
    def from_text(cls, text: str, origin: str) -> PublicHalf:
        """What a recipient file holds, or the public half of an identity file; `origin` names it in errors."""
        if IDENTITY_PREFIX in text.upper():
            identity = Identity.from_text(text, origin)
            return cls(identity.recipient, identity.verifier_key.public, identity.root)
        recipients: list[Recipient] = []
        verifier = None
        for line in (line.strip() for line in text.splitlines()):
            if line.startswith(_VERIFIER):
                verifier = _verifier(line, origin)
            elif line and not line.startswith("#"):
                recipients.append(_recipient(line, origin))
        if len(recipients) != 1:
            raise KeyFileError(
                f"{origin} holds {len(recipients) or 'no'} recipient{'s' if recipients else ''}",
                hint="It has one line that begins with drtool-recipient-1-; drtool key generate makes one.",
            )
        return cls(recipients[0], verifier)


def _recipient(line: str, origin: str) -> Recipient:
    try:
        return Recipient.from_text(line)
    except KeyFileError as error:
        raise KeyFileError(f"{origin}: {error.message}", hint=error.hint) from error


def _verifier(line: str, origin: str) -> bytes:
    try:
        key = bytes.fromhex(line.removeprefix(_VERIFIER))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{origin}: the verifier line is damaged", hint="Fetch the file again, whole.")
    return key

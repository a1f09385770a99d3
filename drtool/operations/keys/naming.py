"""The names that people know key holders by."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from drtool.errors import RefusedError, UsageError
from drtool.repository.trust import NamedRecipient, RepositoryDocument, Role, Signer

MAX_NAME = 64
#: How much of a fingerprint or public key (hex digits) is enough to name its holder.
MIN_PREFIX = 8


@dataclass(frozen=True, slots=True)
class Holder:
    """What one holds: a recipient, a signer that is not revoked, or both (somebody who reads and verifies)."""

    name: str
    recipient: NamedRecipient | None
    signer: Signer | None

    def goes_by(self, name: str) -> bool:
        """Is this its name, or a fingerprint or public key of it (or the beginning of one)?"""
        keys = [self.recipient.recipient.fingerprint] if self.recipient is not None else []
        keys += [self.signer.public] if self.signer is not None else []
        is_long = len(name) >= MIN_PREFIX
        return name == self.name or (is_long and any(key.hex().startswith(name.lower()) for key in keys))


def check_new_name(document: RepositoryDocument, name: str) -> None:
    """``UsageError`` for a name that nobody can type, ``RefusedError`` for one that somebody has."""
    is_printable = all(unicodedata.category(character)[0] != "C" for character in name)
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not is_printable:
        raise UsageError(f"{name!r} is no name", hint=f"A name has 1 to {MAX_NAME} characters that can be seen.")
    if any(entry.name == name for entry in document.recipients) or any(s.name == name for s in active(document)):
        raise RefusedError(
            f"there is a key by the name of {name} already",
            hint="Choose another name, or revoke that key first: drtool key list",
        )


def active(document: RepositoryDocument) -> list[Signer]:
    """The signers that were not revoked."""
    return [signer for signer in document.signers if not document.is_revoked(signer.public)]


def find_holder(document: RepositoryDocument, name: str) -> Holder:
    """Who goes by this name, fingerprint or public key (or its beginning); ``UsageError`` for nobody or several."""
    found = [holder for holder in _holders(document) if holder.goes_by(name)]
    if not found:
        raise UsageError(
            f"no key is called {name}, or it was revoked before",
            hint="See: drtool key list. What a revocation that was interrupted left is deleted by: drtool key rotate",
        )
    if len(found) > 1:
        raise UsageError(
            f"several keys are called {name}", hint="Name one by its fingerprint or public key: drtool key list"
        )
    return found[0]


def _holders(document: RepositoryDocument) -> list[Holder]:
    """Who reads, with the key that he verifies by, and who only signs. In a copy of a repository two may have one name:
    the copy's own agents are named there."""
    verifiers = {signer.name: signer for signer in active(document) if Role.VERIFIER in signer.roles}
    reading = [Holder(entry.name, entry, verifiers.get(entry.name)) for entry in document.recipients]
    taken = {holder.signer.public for holder in reading if holder.signer is not None}
    signing = [Holder(s.name, None, s) for s in active(document) if s.public not in taken]
    return reading + signing

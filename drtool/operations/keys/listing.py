"""Who may read, who may write, and which keys there are."""

from __future__ import annotations

from dataclasses import dataclass

from drtool.repository.authority import KEYS
from drtool.repository.erasing import current_objects
from drtool.repository.escrow import SUFFIX
from drtool.repository.repository import Repository
from drtool.repository.trust import NamedRecipient, Signer, keys_name


@dataclass(frozen=True, slots=True)
class ListedSigner:
    """A signer, and when it was revoked (None where it was not)."""

    signer: Signer
    revoked: str | None


@dataclass(frozen=True, slots=True)
class ListedRecipient:
    """A recipient; ``escrow``: does its identity lie in the repository under a passphrase?"""

    entry: NamedRecipient
    escrow: bool


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys of a repository. ``catalog_keys`` are ids (hex), the one that seals what is new first."""

    root: bytes
    sequence: int
    recipients: tuple[ListedRecipient, ...]
    signers: tuple[ListedSigner, ...]
    catalog_keys: tuple[str, ...]


def list_keys(repository: Repository) -> Keys:
    """What the root says; any key that opens the repository may ask."""
    document, ring = repository.document, repository.keyring
    escrows = {info.name for info in current_objects(repository.storage, KEYS) if info.name.endswith(SUFFIX)}
    revoked = {revocation.public: revocation.at for revocation in document.revocations}
    older = sorted(key_id for key_id in ring.catalog if key_id != document.catalog_key)
    return Keys(
        root=document.root,
        sequence=document.sequence,
        recipients=tuple(
            ListedRecipient(entry, keys_name(entry.recipient) + SUFFIX in escrows) for entry in document.recipients
        ),
        signers=tuple(ListedSigner(signer, revoked.get(signer.public)) for signer in document.signers),
        catalog_keys=tuple(key_id.hex() for key_id in (document.catalog_key, *older)),
    )

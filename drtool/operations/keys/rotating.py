"""A new catalog key for what is written from now on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drtool.operations.keys.naming import active
from drtool.operations.keys.revoking import require_recipients, revoke, withdraw_rings
from drtool.operations.reporting import Reporter
from drtool.repository.authority import Authority
from drtool.repository.repository import Repository
from drtool.repository.trust import NamedRecipient, Role, Signer

_WITH_FILES = frozenset({Role.WRITER, Role.MAINTAINER})


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new catalog key's id, who reads from now on, and who does not any more.

    ``renewed`` are the agents that get the new key from the store at their next run; ``stranded`` those whose enrolment
    names no key to seal it to: they need a new agent key.
    """

    catalog_key: bytes
    recipients: tuple[NamedRecipient, ...]
    removed: tuple[str, ...]
    renewed: tuple[str, ...]
    stranded: tuple[str, ...]


def rotate(repository: Repository, authority: Authority, reporter: Reporter, remove: Sequence[str] = ()) -> Rotated:
    """Seal what is written from now on under a new catalog key, which everybody but `remove` and the revoked gets.

    The older keys stay in everybody's ring and the id key does not change, so what is there stays readable and known.
    Rings go before what names their key: wherever this ends, whoever could open the repository still can.
    ``RefusedError`` for removing the root.
    """
    names = require_recipients(authority, remove)
    removed = tuple(revoke(repository, authority, name, reporter).name for name in names)
    recipients = authority.document.recipients
    agents = [signer for signer in active(authority.document) if _has_file(signer, authority)]
    renewed = [signer for signer in agents if signer.ring_to is not None]
    ring = authority.grow_ring()
    # The root's own first: whoever rotates at the same moment meets there, before anything else was written.
    own = authority.identity.recipient
    authority.share([own, *(entry.recipient for entry in recipients if entry.recipient != own)])
    authority.share(signer.ring_to for signer in renewed if signer.ring_to is not None)
    authority.publish(catalog_key=ring.current)
    withdraw_rings(authority, reporter)
    stranded = tuple(signer.name for signer in agents if signer not in renewed)
    return Rotated(ring.current, recipients, removed, tuple(signer.name for signer in renewed), stranded)


def _has_file(signer: Signer, authority: Authority) -> bool:
    """Is it an agent, with a ring in its own file? Who only verifies has one as a recipient."""
    return bool(signer.roles & _WITH_FILES) and signer.public != authority.identity.verifier_key.public

"""How the keys of a repository stand: may this host still write, and how many ways are there to read."""

from __future__ import annotations

from dataclasses import dataclass

from drtool.operations.keys.listing import list_keys
from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Standing:
    """``revoked``: this host's agent key does not count any more. ``recipients`` read, ``escrows`` of them also lie in
    the repository under a passphrase."""

    revoked: bool
    recipients: int
    escrows: int

    @property
    def hangs_on_one(self) -> bool:
        """Are the backups lost with one identity, as far as the repository can tell?"""
        return self.recipients == 1 and not self.escrows

    def __str__(self) -> str:
        read = "one identity reads" if self.recipients == 1 else f"{self.recipients} identities read"
        in_escrow = {0: "none lies", 1: "one lies"}.get(self.escrows, f"{self.escrows} lie")
        return f"{read} the backups, {in_escrow} in escrow" + (
            ": without it they are lost" if self.hangs_on_one else ""
        )


def standing(repository: Repository) -> Standing:
    """As the root says."""
    keys = list_keys(repository)
    agent = repository.agent
    revoked = agent is not None and repository.document.is_revoked(agent.signing_key.public)
    return Standing(revoked, len(keys.recipients), sum(listed.escrow for listed in keys.recipients))

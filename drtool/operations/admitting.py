"""May this process write what others are to rely on? Asked before its first write."""

from __future__ import annotations

from drtool.errors import WrongKeyError
from drtool.repository.repository import Repository
from drtool.repository.trust import Role


def require_writer(repository: Repository, what: str) -> None:
    """``WrongKeyError`` where nobody would accept what this process signs: `what` says what it is about to write."""
    public = repository.signer.public
    if not repository.document.allows(public, Role.WRITER):
        raise WrongKeyError(
            f"the key given may not write {what}: the repository's root did not make its holder a writer",
            hint="Name this host's own key as repository.agent_key; an identity reads and verifies only.",
        )
    if repository.document.is_revoked(public):
        raise WrongKeyError(
            f"this host's agent key was revoked: nobody would accept {what} of it",
            hint="The identity's owner makes another: drtool key add --agent NAME --out FILE",
        )

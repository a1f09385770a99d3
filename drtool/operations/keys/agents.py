"""A further host, or maintenance, with a key of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import DrtoolError, TransientStorageError
from drtool.operations.keys.files import require_free, write_key
from drtool.operations.keys.naming import check_new_name
from drtool.repository.agent_key import AgentKey
from drtool.repository.authority import Authority
from drtool.repository.primitives import KEY_BYTES
from drtool.repository.trust import Role, Signer, utc_now


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An agent whom the root enrolled, and the file with its key."""

    signer: Signer
    path: Path


def add_agent(authority: Authority, name: str, role: Role, path: Path) -> Enrolled:
    """Make an agent key with `role`, write it to a new file and enrol it.

    ``RefusedError`` where the name is taken or the file exists. Where enrolling fails no file is left, unless the store
    may have taken it all the same.
    """
    document = authority.document
    check_new_name(document, name)
    require_free(path)
    agent = AgentKey(name, document.repository, document.root, os.urandom(KEY_BYTES), authority.keyring)
    signer = Signer(agent.signing_key.public, name, frozenset({role}), utc_now(), agent.ring_opener.recipient)
    write_key(path, agent.to_text())  # first: a key that could not be saved must not be enrolled
    try:
        authority.publish(signers=(*document.signers, signer))
    except TransientStorageError:
        raise
    except DrtoolError:
        path.unlink(missing_ok=True)
        raise
    return Enrolled(signer, path)

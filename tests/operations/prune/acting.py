"""A process that works on a repository and stops itself: ``python -m tests.operations.prune.acting ROOT MOMENT ROLE``.

ROOT holds the repository and its keys; MOMENT is ``put:PREFIX:N`` or ``delete:PREFIX:N``: before the N-th request of
that kind the process sends itself SIGSTOP. ROLE is ``backup NUMBER …`` or ``prune``. The clock by which a run knows how
long it slept is ahead by what the file ``clock`` in ROOT says (seconds).
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from drtool.errors import DrtoolError
from drtool.operations.prune.prune import Wishes, prune
from drtool.operations.reporting import Silent
from drtool.repository import runs
from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import Identity
from drtool.storage.directory import DirectoryStorage
from tests.operations.prune.shelves import small_packs, stream
from tests.repository.builders import Made, backup

LEASE_SECONDS = 0.5


def at(root: Path) -> Made:
    """The repository in a directory, as `save` left it."""
    return Made(
        DirectoryStorage(root / "repository"),
        AgentKey.from_text((root / "agent.key").read_text(), "agent.key"),
        Identity.from_text((root / "identity.key").read_text(), "identity.key"),
        root / "local",
    )


def save(made: Made, root: Path) -> None:
    """Leave the keys for other processes."""
    (root / "agent.key").write_text(made.agent.to_text())
    (root / "identity.key").write_text(made.identity.to_file(""))


def _halting(moment: str) -> Any:
    what, prefix, number = moment.split(":")
    real = getattr(DirectoryStorage, what)
    count = itertools.count(1)

    def request(self: DirectoryStorage, name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith(prefix) and next(count) == int(number):
            os.kill(os.getpid(), signal.SIGSTOP)
        return real(self, name, *arguments, **options)

    return mock.patch.object(DirectoryStorage, what, request)


def _clock(root: Path) -> Any:
    real = runs._awake_clock

    def ahead() -> float:
        path = root / "clock"
        return real() + (float(path.read_text()) if path.exists() else 0.0)

    return mock.patch.object(runs, "_awake_clock", ahead)


def act(root: Path, moment: str, role: str, *arguments: str) -> int:
    """Work; the exit code."""
    made = at(root)
    # Nothing else may be under way when it stops: a process that is stopped keeps the directory's lock.
    never = mock.patch("drtool.repository.leases._RENEWALS_PER_TTL", 1e-6)
    with small_packs(), _clock(root), _halting(moment), never:
        try:
            if role == "backup":
                backup(made.as_agent(), [stream(map(int, arguments))])
            else:
                prune(made.as_owner(), Wishes(lease_ttl=LEASE_SECONDS), Silent())
        except DrtoolError as error:
            print(error.kind)
            return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(act(Path(sys.argv[1]), *sys.argv[2:]))

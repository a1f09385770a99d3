"""The repository, opened by its root: to change who may read and who may write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.config.secrets import Origin, Secret
from drtool.errors import ConfigError
from drtool.operations.opening import repository_of
from drtool.repository.authority import Authority
from drtool.repository.repository import Repository

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings

_NAME_IT = "Set repository.identity where keys are changed, for instance {file: /media/usb/identity.key}."


@contextmanager
def governed(
    settings: RepositorySettings, *, cancelled: threading.Event | None = None
) -> Iterator[tuple[Repository, Authority]]:
    """The repository that the configuration names, opened with the identity alone, and its root's authority.

    ``ConfigError`` without an identity; ``WrongKeyError`` with one that is not the root.
    """
    if settings.identity is None:
        raise ConfigError("changing keys needs the identity, and the configuration names none", hint=_NAME_IT)
    with repository_of(_alone(settings), reads_data=True, cancelled=cancelled) as repository:
        yield repository, Authority(repository)


@contextmanager
def read_by(
    settings: RepositorySettings, identity: Path | None, *, cancelled: threading.Event | None = None
) -> Iterator[Repository]:
    """The repository, opened with the identity in that file (else the configuration's) and nothing else."""
    alone = _alone(settings)
    if identity is not None:
        alone = alone.model_copy(update={"identity": Secret(Origin.FILE, str(identity), "--identity")})
    with repository_of(alone, reads_data=True, cancelled=cancelled) as repository:
        yield repository


def _alone(settings: RepositorySettings) -> RepositorySettings:
    """Without the agent key: one that happens to be here is not needed, and may belong to another root.

    With the credentials of maintenance, where there are some: those of a backup host need not let it replace keys.
    """
    own = settings.maintenance
    profile = settings.profile if own is None or own.profile is None else own.profile
    return settings.model_copy(update={"agent_key": None, "profile": profile})

"""``repository.copies``: second repositories, and how they are reached."""

from __future__ import annotations

from pydantic import Field

from drtool.config.secrets import KeySecret
from drtool.config.store import StoreSettings


class CopySettings(StoreSettings):
    """A second repository. Credentials are those of its own profile; without one, those of the environment."""

    agent_key: KeySecret | None = Field(
        default=None,
        description="This host's key to it. A copy of the same lineage needs none: there repository.agent_key will do.",
    )

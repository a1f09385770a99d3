"""``repository``: where backups live, and the keys to them."""

from __future__ import annotations

from pydantic import Field

from drtool.config.copies import CopySettings
from drtool.config.model import Model
from drtool.config.paths import ConfigPath
from drtool.config.places import cache_home, state_home
from drtool.config.secrets import KeySecret
from drtool.config.store import StoreSettings


class MaintenanceSettings(Model):
    """What retention and prune work with in place of the agent's key and credentials, which need no right to delete."""

    profile: str | None = Field(default=None, description="A profile of ~/.aws/config that may delete.")
    agent_key: KeySecret | None = Field(
        default=None, description="A key with the role maintainer; without it the identity is used."
    )


class RepositorySettings(StoreSettings):
    """Where backups live. ``url`` is ``s3://BUCKET[/PREFIX]`` or an absolute directory; paths are absolute."""

    agent_key: KeySecret | None = Field(
        default=None, description="The key that a backup host holds; it cannot read data."
    )
    identity: KeySecret | None = Field(
        default=None, description="The key that reads data back; only where that is done."
    )
    maintenance: MaintenanceSettings | None = Field(
        default=None, description="Key and credentials of retention and prune, where they are others."
    )
    copies: tuple[CopySettings, ...] = Field(
        default=(), description="Second repositories that drtool copy sends snapshots to."
    )
    state_dir: ConfigPath = Field(default_factory=state_home, description="Local state: what this host has seen.")
    cache_dir: ConfigPath = Field(default_factory=cache_home, description="What can be thrown away at any time.")

"""What the settings of every type of source have in common."""

from __future__ import annotations

from drtool.config.model import Model


class SourceSettings(Model):
    """What every source has: its type."""

    type: str

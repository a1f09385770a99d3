"""Ids of what is put into a repository or on record: snapshots, runs, evidence."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def new_id(moment: datetime | None = None) -> str:
    """A fresh id; ids sort by time: ``20261121t020000z-5f3a9c17e2``."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dt%H%M%Sz}-{os.urandom(5).hex()}"

"""The levels of verification."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """How far a snapshot was verified; each level includes the ones before."""

    NONE = 0
    LISTED = 1
    INTACT = 2
    READABLE = 3
    RESTORED = 4

    @property
    def label(self) -> str:
        """The word in listings and evidence."""
        return self.name.lower()


#: From this level on a snapshot counts as verified where ``latest-verified`` is asked for.
VERIFIED = Level.READABLE

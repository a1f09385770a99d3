"""Do the rounds of reading come to an end, or are the records changed faster than they can be read?"""

from __future__ import annotations

from drtool.errors import InstantMovedError, WindowPassedError

#: How often the instant may move because a collection was dropped or renamed while it was read.
ATTEMPTS = 4


class Pace:
    """Follows the rounds of one source by bytes: those kept of each, and those that changed before the next."""

    def __init__(self) -> None:
        self._moved = 0
        self._kept: list[int] = []
        self._lost: list[int] = []

    def begin(self, lost: int) -> None:
        """A round begins; `lost` bytes of what was kept before have changed since."""
        self._lost.append(lost)

    def end(self, kept: int, error: InstantMovedError | None) -> bool:
        """The round ended with `kept` bytes, by an error or well. May another exact one bring the end nearer?

        False where over the last two rounds less than a quarter of what was kept lasted. Raises `error` where it is
        of a kind that came too often.
        """
        self._kept.append(kept)
        if error is None:
            return True
        if not isinstance(error, WindowPassedError):
            self._moved += 1
            if self._moved >= ATTEMPTS:
                raise error
            return True
        if len(self._lost) < 3:
            return True
        before = sum(self._kept[-3:-1])
        lasted = before - sum(self._lost[-2:])
        return lasted > 0 and 4 * lasted >= before

    @property
    def rounds(self) -> int:
        """How many rounds have begun."""
        return len(self._lost)

    @property
    def stands(self) -> bool:
        """Did the last two rounds read nothing that could be kept?"""
        return len(self._kept) >= 2 and not any(self._kept[-2:])

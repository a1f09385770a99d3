"""What an operator wishes restored, and what things are called where they go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import UsageError
from drtool.sources.base import Source
from drtool.sources.restoring import RestoreItem


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore and where to.

    ``to`` is another server, where names stay the same; ``only`` and ``rename`` (old, new) are as typed; ``users``
    says whether users and roles come back (None: as the source thinks safe). ``in_place``: names stay the same, and
    what bears them is replaced.
    """

    to: str | None = None
    only: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    users: bool | None = None
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Names in the target, of what comes back as it was at ``moment``."""

    wish: Wish
    source: Source
    moment: datetime

    def of(self, stream: str) -> str:
        """By ``--rename``, else the same on another server and in place, else beside the original."""
        for old, new in self.wish.rename:
            renamed = self.source.rename(stream, old, new)
            if renamed is not None:
                return renamed
        if self.wish.to is not None or self.wish.in_place:
            return stream
        return self.source.name_of_restored(stream, f"restored_{self.moment:%Y%m%d_%H%M%S}")

    def of_chosen(self, stream: str) -> str | None:
        """The same, if ``only`` fits it, or if it is renamed by its very name; else None."""
        fits = any(self.source.matches(stream, pattern) for pattern in self.wish.only)
        return self.of(stream) if fits or any(old == stream for old, _ in self.wish.rename) else None

    def refuse_idle(self, streams: Collection[str]) -> None:
        """``UsageError`` for a renaming of none of these streams, which are all that is restored."""
        for old, new in self.wish.rename:
            if all(self.source.rename(stream, old, new) is None for stream in streams):
                raise UsageError(
                    f"--rename {old}={new} fits nothing that is to be restored",
                    hint="drtool show SNAPSHOT lists what the snapshot holds.",
                )


def refuse_collisions(items: Sequence[RestoreItem]) -> None:
    """``UsageError`` where two would get one name."""
    seen: dict[str, str] = {}
    for item in items:
        if item.name in seen:
            raise UsageError(f"{seen[item.name]} and {item.stream.name} would both be restored as {item.name}")
        seen[item.name] = item.stream.name

"""What was typed about a restore, allotted to the sources that it is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from drtool.errors import UsageError
from drtool.operations.picking import held_by
from drtool.operations.restore.wishing import Wish
from drtool.repository.chain import Snapshot
from drtool.repository.repository import Repository
from drtool.sources.base import Source


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: ``to``, ``only`` and ``rename`` (old, new) as often as they were.

    ``SOURCE=URI`` in `to`, ``SOURCE:`` before a pattern of `only` and before what is renamed say which source is meant.
    Other patterns hold for every source in which they fit something.
    """

    to: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    users: bool | None = None
    in_place: bool = False


def allot(
    repository: Repository, snapshot: Snapshot, sources: Sequence[Source], asked: Asked, *, log_follows: bool = False
) -> tuple[dict[str, Wish], dict[str, str]]:
    """What is wished of each of these sources of a snapshot, in their order; and of those of which nothing is, why.

    ``UsageError`` for what fits nothing in any of them, or names a source that is not among them. With `log_follows`,
    where the log may yet make what a pattern fits, that is left to be found out.
    """
    if asked.in_place and (asked.to or asked.rename):
        raise UsageError(
            f"--in-place goes without {'--to' if asked.to else '--rename'}: it replaces what the source holds under the"
            " same names"
        )
    held = held_by(repository, snapshot)
    empty = [source.name for source in sources if not held[source.name] and len(sources) > 1]
    chosen = {source.name: (source, held[source.name]) for source in sources if source.name not in empty}
    wishes = _Allotment(asked, chosen, held, log_follows=log_follows).wishes()
    reasons = dict.fromkeys(empty, "the snapshot holds nothing of it")
    return wishes, reasons | {name: "nothing of it fits --only" for name in chosen if name not in wishes}


class _Allotment:
    """`chosen` are sources with the names of their streams, `held` the names of all that the snapshot holds."""

    def __init__(
        self,
        asked: Asked,
        chosen: Mapping[str, tuple[Source, Sequence[str]]],
        held: Collection[str],
        *,
        log_follows: bool = False,
    ) -> None:
        self._asked, self._chosen, self._held = asked, chosen, held
        self._is_open = log_follows

    def wishes(self) -> dict[str, Wish]:
        only = self._patterns()
        chosen = {name: patterns for name, patterns in only.items() if patterns or not self._asked.only}
        rename = self._renamings(chosen)
        to = self._places(chosen)
        return {
            name: Wish(to.get(name), patterns, rename[name], self._asked.users, self._asked.in_place)
            for name, patterns in chosen.items()
        }

    def _patterns(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self._chosen, ())
        for text in self._asked.only:
            meant, pattern = self._meant("--only", text)
            fitting = [name for name in meant if self._is_open or self._fits(name, pattern)]
            if not fitting:
                raise _idle(f"--only {text}", "in the snapshot")
            for name in fitting:
                found[name] += (pattern,)
        return found

    def _renamings(self, chosen: Mapping[str, Sequence[str]]) -> dict[str, tuple[tuple[str, str], ...]]:
        found: dict[str, tuple[tuple[str, str], ...]] = dict.fromkeys(chosen, ())
        for text, new in self._asked.rename:
            meant, old = self._meant("--rename", text)
            fitting = [
                name
                for name in meant
                if name in chosen and (self._is_open or self._renames(name, chosen[name], old, new))
            ]
            if not fitting:
                raise _idle(f"--rename {text}={new}", "that is to be restored")
            for name in fitting:
                found[name] += ((old, new),)
        return found

    def _places(self, chosen: Collection[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in self._asked.to:
            name, separator, uri = text.partition("=")
            if not (separator and name in self._held):
                if len(chosen) > 1:
                    raise UsageError(
                        "several sources are restored, and --to does not say which it is for",
                        hint=f"Write --to SOURCE=URI, again for more, or choose with --source: {', '.join(chosen)}",
                    )
                [name], uri = list(chosen), text
            self._require_chosen("--to", name)
            if name in found:
                raise UsageError(f"--to names two places for source {name}")
            if name not in chosen:
                raise UsageError(f"--to {name}=…: nothing of source {name} fits --only")
            found[name] = uri
        return found

    def _meant(self, option: str, text: str) -> tuple[Sequence[str], str]:
        """The sources that a pattern is for, and the pattern."""
        name, separator, pattern = text.partition(":")
        if not (separator and pattern and name in self._held):
            return tuple(self._chosen), text
        self._require_chosen(option, name)
        return (name,), pattern

    def _require_chosen(self, option: str, name: str) -> None:
        if name not in self._chosen:
            raise UsageError(
                f"{option} names source {name}, which is not among those chosen",
                hint=f"Add --source {name}, or leave it out.",
            )

    def _fits(self, name: str, pattern: str) -> bool:
        source, streams = self._chosen[name]
        return any(source.matches(stream, pattern) for stream in streams)

    def _renames(self, name: str, only: Sequence[str], old: str, new: str) -> bool:
        source, streams = self._chosen[name]
        wanted: Iterable[str] = streams
        if only:
            wanted = [stream for stream in streams if any(source.matches(stream, pattern) for pattern in only)]
        return any(source.rename(stream, old, new) is not None for stream in wanted)


def _idle(option: str, where: str) -> UsageError:
    return UsageError(
        f"{option} fits nothing {where}", hint="drtool show SNAPSHOT lists what the snapshot holds of which source."
    )

"""Which streams of a snapshot an operation is about, and whether the repository holds all that they need."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Iterable, Sequence

from drtool.errors import MissingObjectError, UsageError
from drtool.operations.contents import Contents, list_needed
from drtool.operations.overlaying import is_overlay
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Source


def held_by(repository: Repository, snapshot: Snapshot) -> dict[str, list[str]]:
    """The names of the streams that a snapshot holds of each of its sources; what completes one is part of it."""
    held: dict[str, list[str]] = {source.name: [] for source in snapshot.manifest.sources}
    with contextlib.closing(ChunkReader(repository)) as reader:
        for entry in Contents(reader, snapshot.manifest).streams():
            if not is_overlay(entry) and not entry.beside:
                held.setdefault(entry.source, []).append(entry.name)
    return held


def pick(
    contents: Contents, snapshot: Snapshot, source: Source, only: Sequence[str], *, log_follows: bool = False
) -> list[StreamEntry]:
    """The streams of `source`, those that fit `only` where that is not empty, in the snapshot's order; with a stream
    those that complete it.

    ``UsageError`` where the snapshot holds nothing of the source, or nothing that fits a pattern; with `log_follows`,
    that may be yet to come.
    """
    entries = [entry for entry in contents.streams() if entry.source == source.name and not is_overlay(entry)]
    if not entries:
        names = ", ".join(each.name for each in snapshot.manifest.sources)
        raise UsageError(f"the snapshot holds nothing of source {source.name}", hint=f"It holds: {names}")
    if not only:
        return entries
    if not log_follows:
        require_fitting([entry.name for entry in entries], snapshot, source, only)
    return [entry for entry in entries if any(source.matches(entry.beside or entry.name, pattern) for pattern in only)]


def require_fitting(
    names: Collection[str], snapshot: Snapshot, source: Source, only: Iterable[str], *, log: bool = False
) -> None:
    """``UsageError`` for a pattern that fits none of these streams, which are all there is; with `log`, in the archived
    log, too."""
    for pattern in only:
        if not any(source.matches(name, pattern) and not source.goes_along(name, pattern) for name in names):
            later = ", and nothing that its log made that is there at that moment" if log else ""
            close = difflib.get_close_matches(pattern, names, n=1)
            raise UsageError(
                f"--only {pattern} fits nothing in the snapshot{later}",
                hint=(f"Did you mean {close[0]}? " if close else "")
                + f"drtool show {snapshot.id} lists what the snapshot holds.",
            )


def require_all(repository: Repository, contents: Contents, entries: Sequence[StreamEntry], operation: str) -> None:
    """``MissingObjectError`` unless every object that these streams need is there. `operation` is what needs them."""
    problems = list_needed(repository, contents, entries, bounds=False).problems
    if not problems:
        return
    first = problems[0]
    stream = f" (stream {first.stream})" if first.stream else ""
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise MissingObjectError(
        f"the repository lacks something that this {operation} needs: {first.message}{stream}{more}",
        hint="Nothing was written. drtool repair snapshots says which streams of which snapshots are whole;"
        " they can be restored with --only.",
    )

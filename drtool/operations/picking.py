"""Which streams of a snapshot an operation is about, and whether the repository holds all that they need."""

from __future__ import annotations

from collections.abc import Sequence

from drtool.errors import MissingObjectError, UsageError
from drtool.operations.contents import Contents, list_needed
from drtool.operations.overlaying import is_overlay
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import StreamEntry
from drtool.repository.repository import Repository
from drtool.sources.base import Source


def pick(contents: Contents, snapshot: Snapshot, source: Source, only: Sequence[str]) -> list[StreamEntry]:
    """The streams of `source`, those that fit `only` where that is not empty, in the snapshot's order.

    ``UsageError`` where the snapshot holds nothing of the source, or nothing that fits a pattern.
    """
    entries = [entry for entry in contents.streams() if entry.source == source.name and not is_overlay(entry)]
    if not entries:
        names = ", ".join(each.name for each in snapshot.manifest.sources)
        raise UsageError(f"the snapshot holds nothing of source {source.name}", hint=f"It holds: {names}")
    if not only:
        return entries
    chosen: set[str] = set()
    for pattern in only:
        found = {entry.name for entry in entries if source.matches(entry.name, pattern)}
        if not found:
            raise UsageError(
                f"--only {pattern} fits nothing in the snapshot",
                hint=f"drtool show {snapshot.id} lists what it holds.",
            )
        chosen |= found
    return [entry for entry in entries if entry.name in chosen]


def require_all(repository: Repository, contents: Contents, entries: Sequence[StreamEntry], operation: str) -> None:
    """``MissingObjectError`` unless every object that these streams need is there. `operation` is what needs them."""
    problems = list_needed(repository, contents, entries).problems
    if not problems:
        return
    first = problems[0]
    stream = f" (stream {first.stream})" if first.stream else ""
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise MissingObjectError(
        f"the repository lacks something that this {operation} needs: {first.message}{stream}{more}",
        hint="Nothing was written. drtool verify --level listed shows them all; try another snapshot.",
    )

"""The walks of all trees at a view's beginning, on a thread of their own, so that freezing is quick."""

from __future__ import annotations

import contextlib
import stat
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from drtool.errors import SourceError
from drtool.sources.files.git import Checkout, checkout_of
from drtool.sources.files.listings import Listing, ListingWriter
from drtool.sources.files.memory import listing_path
from drtool.sources.files.records import OVERHEAD
from drtool.sources.files.walking import Names, Tree, Walk

_TICK_SECONDS = 0.001
#: CLOCK_REALTIME_COARSE of linux/time.h, which Python has no name for: what most file systems stamp changes with, up to
#: a tick behind CLOCK_REALTIME.
_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME


@dataclass(slots=True)
class Walked:
    """A tree, walked. ``moving`` are names that changed between the instant and the walk. ``is_empty``: a directory
    with nothing in it."""

    tree: Tree
    listing: Listing
    sockets: Names
    moving: Names
    records: int = 0
    is_empty: bool = False
    bytes: int = 0
    owners: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)
    checkout: Checkout | None = None


def now() -> int:
    """The present instant in ns since the epoch, such that whatever changes a file later gives it a ctime at or after
    it, and earlier ones lie before: by the clock that lags, once it has passed what the finer one said, which some file
    systems stamp files with."""
    start = time.time_ns()
    while (found := time.clock_gettime_ns(_CLOCK)) <= start:
        start = min(start, time.time_ns())  # the clock may be set back
        time.sleep(_TICK_SECONDS)
    return found


class Scan:
    """Walks `trees` into listings below `directory`. ``result`` waits for the end."""

    def __init__(self, trees: Sequence[Tree], directory: Path, instant: int) -> None:
        self._trees, self._directory, self._instant = trees, directory, instant
        self._stop = threading.Event()
        self._future: Future[list[Walked]] = Future()
        self._thread = threading.Thread(target=self._run, name="walk", daemon=True)
        self._thread.start()

    def result(self) -> list[Walked]:
        """The trees, walked. Raises what stopped it."""
        return self._future.result()

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._future.set_result([self._walk(tree) for tree in self._trees])
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._future.set_exception(error)

    def _walk(self, tree: Tree) -> Walked:
        walk = Walk(tree, self._stop.is_set, self._instant)
        path = listing_path(self._directory, tree.name)
        try:
            with contextlib.closing(ListingWriter(path, tree.name, self._instant)) as writer:
                walked = Walked(tree, writer.listing, walk.sockets, walk.moving)
                for entry in walk:
                    walked.is_empty = not entry.key and stat.S_ISDIR(entry.mode)
                    writer.add(entry)
                    walked.records += 1 + entry.parts
                    walked.bytes += OVERHEAD + len(entry.key) + (0 if entry.first else entry.size)
                    walked.owners.add(entry.uid)
                    walked.groups.add(entry.gid)
                writer.finish()
        except OSError as error:
            raise SourceError(
                f"the list of what is in {tree.name} cannot be written to {path}: {error.strerror or error}",
                hint="Free some space there; it takes about 50 bytes for each file.",
            ) from error
        walked.checkout = checkout_of(tree)
        return walked

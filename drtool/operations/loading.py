"""Records from the repository into a target: several streams at once, and several writers for a large one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from drtool.errors import IncompleteRestoreError
from drtool.operations.contents import Contents
from drtool.operations.reporting import Reporter
from drtool.repository.manifests import StreamEntry
from drtool.sources.base import Loaded, RestoreItem, Target

#: From this size on a keyed stream is written by several writers.
SHARED_BYTES = 16 * 1024 * 1024


class _Shared:
    """One iterator for several threads, which ends for all of them when one was stopped."""

    def __init__(self, chunks: Iterator[bytes], reporter: Reporter, task: str, stop: threading.Event) -> None:
        self._chunks = chunks
        self._reporter = reporter
        self._task = task
        self._stop = stop
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        while not self._stop.is_set():
            with self._lock:
                data = next(self._chunks, None)
            if data is None:
                return
            yield data
            self._reporter.advance(self._task, len(data))


def load(
    contents: Contents,
    entries: dict[str, StreamEntry],
    items: tuple[RestoreItem, ...],
    target: Target,
    writers: int,
    reporter: Reporter,
) -> Loaded:
    """Write the records of all items. `entries` are the snapshot's streams by original name.

    Raises the first error; ``IncompleteRestoreError`` where a stream did not bring back every record of the manifest.
    """
    with_records = sorted((item for item in items if item.stream.has_records), key=lambda item: -item.bytes)
    task = "Restoring"
    stop = threading.Event()
    futures: list[tuple[RestoreItem, Future[Loaded]]] = []
    reporter.start(task, sum(item.bytes for item in with_records))
    try:
        with ThreadPoolExecutor(writers, thread_name_prefix="write") as pool, _stopped_at_the_end(stop, futures):
            for item in with_records:
                shared = _Shared(contents.records(entries[item.stream.name]), reporter, task, stop)
                several = item.stream.keyed and item.bytes >= SHARED_BYTES
                for _ in range(writers if several else 1):
                    futures.append((item, pool.submit(target.load, item, shared)))
            done, _ = wait([future for _, future in futures], return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
    finally:
        reporter.finish(task)
    return _counted(futures)


@contextlib.contextmanager
def _stopped_at_the_end(stop: threading.Event, futures: list[tuple[RestoreItem, Future[Loaded]]]) -> Iterator[None]:
    """However the block is left, by a signal too: the pool around it then waits for nothing but what has begun."""
    try:
        yield
    finally:
        stop.set()
        for _, future in futures:
            future.cancel()


def _counted(futures: list[tuple[RestoreItem, Future[Loaded]]]) -> Loaded:
    loaded: dict[str, int] = {}
    expected: dict[str, int] = {}
    size = 0
    for item, future in futures:
        result = future.result()
        loaded[item.name] = loaded.get(item.name, 0) + result.records
        expected[item.name] = item.records
        size += result.bytes
    short = [f"{name}: {loaded[name]} of {count}" for name, count in expected.items() if loaded[name] != count]
    if short:
        raise IncompleteRestoreError("not every record came back: " + "; ".join(short))
    return Loaded(sum(loaded.values()), size)

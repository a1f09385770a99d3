"""Records from the repository into a target: several streams at once, and several writers for a large one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from drtool.errors import IncompleteRestoreError
from drtool.operations.contents import Contents
from drtool.operations.joining import Joined, joined
from drtool.operations.reporting import Reporter
from drtool.repository.manifests import StreamEntry
from drtool.sources.restoring import Loaded, RestoreItem, Target

#: From this size on a keyed stream is written by several writers.
SHARED_BYTES = 16 * 1024 * 1024

_Writing = tuple[Joined[RestoreItem], Future[Sequence[Loaded]]]
"""What is written together, and by one writer what became of each stream of it."""


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

    Streams that complete one another are written together, by one writer, and their records count once. Raises the
    first error; ``IncompleteRestoreError`` where a stream did not bring back every record of the manifest.
    """
    with_records = sorted(joined(item for item in items if item.stream.has_records), key=lambda each: -each.bytes)
    task = "Restoring"
    stop = threading.Event()
    writings: list[_Writing] = []
    reporter.start(task, sum(each.bytes for each in with_records))

    def records(item: RestoreItem) -> _Shared:
        return _Shared(contents.records(entries[item.stream.name]), reporter, task, stop)

    try:
        with ThreadPoolExecutor(writers, thread_name_prefix="write") as pool, _stopped_at_the_end(stop, writings):
            for each in with_records:
                shared = [records(item) for item in each.all]
                for _ in range(writers if _is_shared(each) else 1):
                    writings.append((each, pool.submit(_write, target, each, shared)))
            done, _ = wait([future for _, future in writings], return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
    finally:
        reporter.finish(task)
    return _counted(writings)


def _is_shared(each: Joined[RestoreItem]) -> bool:
    return each.main.stream.keyed and each.bytes >= SHARED_BYTES and not each.beside


def _write(target: Target, each: Joined[RestoreItem], shared: Sequence[_Shared]) -> Sequence[Loaded]:
    if not each.beside:
        return [target.load(each.main, shared[0])]
    return target.load_joined(each.main, shared[0], list(zip(each.beside, shared[1:], strict=True)))


@contextlib.contextmanager
def _stopped_at_the_end(stop: threading.Event, writings: list[_Writing]) -> Iterator[None]:
    """However the block is left, by a signal too: the pool around it then waits for nothing but what has begun."""
    try:
        yield
    finally:
        stop.set()
        for _, future in writings:
            future.cancel()


def _counted(writings: Sequence[_Writing]) -> Loaded:
    written: dict[str, list[Loaded]] = {}
    groups = {each.main.name: each for each, _ in writings}
    for each, future in writings:
        results = future.result()
        so_far = written.get(each.main.name, [Loaded(0, 0)] * len(results))
        written[each.main.name] = [
            Loaded(one.records + two.records, one.bytes + two.bytes) for one, two in zip(so_far, results, strict=True)
        ]
    short = [text for name, each in groups.items() for text in each.short(written[name])]
    if short:
        raise IncompleteRestoreError("not every record came back: " + "; ".join(short))
    records = sum(results[0].records for results in written.values())
    return Loaded(records, sum(one.bytes for results in written.values() for one in results))

"""drtool with small packs, that stops itself (SIGSTOP) at a given moment: ``python -m tests.e2e.halting MOMENT …``.

MOMENT is ``before:PREFIX:N`` or ``after:PREFIX:N`` for the N-th put of an object whose name begins so, or ``load:N``
for the N-th chunk that a restore writes, ``export:N`` for that of an export to a directory. With HELPED in the
environment helpers read.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any
from unittest import mock

from drtool.cli.main import main
from drtool.sources.mongodb.exporting import DirectoryExporter
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import Loaded
from drtool.storage.base import ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.operations.site import helped, small_packs

#: Seconds, so that a signal sent while it was stopped is handled before the work is done.
_BEFORE_GOING_ON = 0.5


def _halt() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(_BEFORE_GOING_ON)


def _halting_put(when: str, prefix: str, number: int) -> Any:
    real = DirectoryStorage.put
    count = itertools.count(1)

    def put(self: DirectoryStorage, name: str, data: Any, **conditions: Any) -> ObjectInfo:
        is_it = name.startswith(prefix) and next(count) == number
        if is_it and when == "before":
            _halt()
        info = real(self, name, data, **conditions)
        if is_it and when == "after":
            _halt()
        return info

    return mock.patch.object(DirectoryStorage, "put", put)


def _halting_chunk(owner: Any, method: str, number: int) -> Any:
    real = getattr(owner, method)
    count = itertools.count(1)

    def load(self: Any, item: Any, chunks: Iterable[bytes]) -> Loaded:
        def counted() -> Iterable[bytes]:
            for chunk in chunks:
                if next(count) == number:
                    _halt()
                yield chunk

        loaded: Loaded = real(self, item, counted())
        return loaded

    return mock.patch.object(owner, method, load)


def _patch(when: str, rest: list[str]) -> Any:
    if when == "load":
        return _halting_chunk(MongoTarget, "load", int(rest[0]))
    if when == "export":
        return _halting_chunk(DirectoryExporter, "write", int(rest[0]))
    return _halting_put(when, rest[0], int(rest[1]))


if __name__ == "__main__":
    when, *rest = sys.argv[1].split(":")
    with small_packs(), _patch(when, rest), helped() if "HELPED" in os.environ else nullcontext():
        main(sys.argv[2:])

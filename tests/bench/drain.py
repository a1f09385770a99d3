"""Reading alone: the cursors that a backup uses, and nothing done with what they give.

``python -m tests.bench.drain URI DATABASE [--out]``; with ``--out`` the replies go to standard output,
which feeds other tools where there is no mongodump. What this takes, no backup written in Python can undercut.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from drtool.sources.mongodb.connection import Client, connect
from drtool.sources.mongodb.cursors import Collection, Reader
from drtool.sources.mongodb.sessions import Sessions
from drtool.sources.mongodb.splitting import split
from drtool.sources.reading import KeyRange

_READERS = 2


def drain(uri: str, database: str, *, out: bool) -> int:
    """Read every collection of `database` at one instant; how many bytes that gave."""
    client = connect(uri)
    sessions = Sessions(client)
    written = Lock()
    with client:
        reader = Reader(client, uri, sessions, client.admin.command("ping")["operationTime"])

        def read(unit: tuple[Collection, KeyRange]) -> int:
            size = 0
            for batch in reader.in_key_order(*unit):
                size += batch.end - batch.start
                if out:
                    with written:
                        sys.stdout.buffer.write(memoryview(batch.raw)[batch.start : batch.end])
            return size

        try:
            with ThreadPoolExecutor(_READERS) as pool:
                return sum(pool.map(read, list(_units(client, database))))
        finally:
            sessions.close()


def _units(client: Client, database: str) -> Iterator[tuple[Collection, KeyRange]]:
    for name in sorted(client[database].list_collection_names()):
        collection = Collection(database, name)
        for part in split(client, collection, min(_READERS, os.cpu_count() or 1)):
            yield collection, part


if __name__ == "__main__":
    drain(sys.argv[1], sys.argv[2], out="--out" in sys.argv[3:])

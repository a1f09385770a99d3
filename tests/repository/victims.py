"""A repository worth attacking: its content, and what attackers look for."""

from __future__ import annotations

from collections.abc import Iterator

from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import Evidence
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.manifests import StreamEntry, decode_streams
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from tests.repository.builders import (
    NOW,
    Stream,
)

MARKERS = (b"PLAINTEXT-OF-A-RECORD", b"PLAINTEXT-OF-A-DEFINITION", b"plaintext-of-a-key")
STREAMS = (
    Stream(
        "plaintext-of-a-key",
        tuple(b"PLAINTEXT-OF-A-RECORD %d " % number * 20 for number in range(40)),
        b"PLAINTEXT-OF-A-DEFINITION" * 5,
    ),
    Stream("a view", ()),
)
#: The name of the first stream is in its records' keys, and in the stream list, which the catalog key reads.
SECRET_FROM_AGENTS = (MARKERS[0], MARKERS[1], b"plaintext-of-a-key:0000")


def evidence_of(manifest: str, level: Level) -> Evidence:
    return Evidence("snapshot", manifest, level.label, True, NOW, "host", "tool", 1.0, {}, (), "identical")


def entries_of(repository: Repository, reader: ChunkReader) -> Iterator[StreamEntry]:
    for snapshot in read_catalogue(repository).snapshots:
        chunks = snapshot.manifest.stream_chunks
        yield from decode_streams(reader.get(ChunkKind.CATALOG, id_, length) for id_, length in chunks)

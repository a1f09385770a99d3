"""What each type of source gives, and what was tried: the table of the README, held against the servers by the tests.

Imports no source: the table is there where engines are not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drtool.sources.reading import Consistency, Proof


@dataclass(frozen=True, slots=True)
class Support:
    """One type of source. ``tested`` are the versions, as a server of them tells its own begins (none where there is no
    server); ``consistency`` and ``proofs`` what it gives, ``when`` what that depends on; ``untested`` what was written
    and never tried."""

    type: str
    system: str
    tested: tuple[str, ...]
    consistency: tuple[Consistency, ...]
    proofs: tuple[Proof, ...]
    when: str
    untested: str
    extra: str = ""


SUPPORT = {
    one.type: one
    for one in (
        Support(
            "mongodb",
            "MongoDB",
            ("6.0",),
            (Consistency.EXACT, Consistency.OVERLAY, Consistency.FUZZY),
            (Proof.IDENTICAL, Proof.CANONICAL),
            "exact on a replica set; fuzzy on a standalone server and for capped collections that are written to",
            "Atlas, sharded clusters, other versions",
        ),
        Support(
            "postgres",
            "PostgreSQL",
            ("15", "16", "18"),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.IDENTICAL, Proof.CANONICAL),
            "exact; several databases, each exact in itself, are fuzzy together where transactions never pause",
            "standbys, managed services, extensions other than pgvector",
            "postgres",
        ),
        Support(
            "redis",
            "Redis",
            ("6.2", "7.0", "8.2"),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.CANONICAL, Proof.IDENTICAL),
            "exact where the server grants a dump (PSYNC), fuzzy where keys are read one by one; functions identical",
            "Valkey, managed services, clusters (refused), modules' types (refused), TLS",
            "redis",
        ),
        Support(
            "files",
            "Linux",
            (),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.IDENTICAL, Proof.CANONICAL),
            "exact where no file changed between the instant and its reading; identical where root takes the backup",
            "other systems than Linux, NFSv4 access control lists, file systems whose server has another clock",
        ),
        Support(
            "qdrant",
            "Qdrant Edge and qdrant-client's local mode",
            ("0.9", "1.20"),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.IDENTICAL, Proof.TOLERANT),
            "exact for embedded shards and local mode; fuzzy for a server, and for shards without a write-ahead log",
            "a server (only a stub of its interface), clusters, shard keys, gRPC",
            "qdrant",
        ),
        Support(
            "chroma",
            "Chroma",
            ("1.5", "1.0"),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.IDENTICAL, Proof.TOLERANT),
            "exact for the directory of an embedded one (path), from a copy; fuzzy for a server (url)",
            "Chroma Cloud, distributed servers, token authentication, sparse vectors",
            "chroma",
        ),
        Support(
            "lancedb",
            "LanceDB",
            ("0.40",),
            (Consistency.EXACT,),
            (Proof.IDENTICAL,),
            "each table at one version, all of them the newest ones at one moment",
            "databases in object stores, tables in namespaces, shallow clones, other versions",
            "lancedb",
        ),
        Support(
            "milvus",
            "Milvus Lite",
            ("3.2",),
            (Consistency.EXACT, Consistency.FUZZY),
            (Proof.IDENTICAL,),
            "exact for Milvus Lite, which serves one process at a time; fuzzy for a server",
            "a server, and what only a server has: vectors of other types than float32, index parameters, databases",
            "milvus",
        ),
    )
}


def table() -> Iterator[str]:
    """The table in Markdown, a line at a time."""
    yield "| type | system, versions tried | consistency | proof | extra | never tried |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in SUPPORT.values():
        extra = f"`drtool[{one.extra}]`" if one.extra else ""
        system = f"{one.system} {', '.join(one.tested)}".rstrip()
        yield f"| `{one.type}` | {system} | {one.when} | {', '.join(one.proofs)} | {extra} | {one.untested} |"

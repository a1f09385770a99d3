"""PostgreSQL: drtool beside pg_dump and pg_restore, on a plain table and a table of embeddings."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from drtool.sources.postgres.server import Server, running
from drtool.sources.postgres.tools import find
from tests.bench import measure
from tests.bench.drtools import command
from tests.bench.measure import FailedError, Measured
from tests.bench.place import environment
from tests.bench.table import render

TITLE = "postgres"
ROWS = 300_000
VECTORS = 10_000
DIMENSIONS = 1536
_VERSION = 18
_OURS = "drtool, PostgreSQL"
_LEAST = 100
_DATABASE, _RESTORED = "bench", "bench_restored"
_PLAIN = """
CREATE TABLE plain (id bigint PRIMARY KEY, account uuid NOT NULL, at timestamptz, amount numeric(12, 2), note text);
INSERT INTO plain SELECT i, md5(i::text)::uuid, timestamptz '2024-01-01' + i * interval '1 s', i %% 100000 / 7.0,
  repeat(md5((i * 7)::text) || ' ', 4) FROM generate_series(1, %s) i;
CREATE INDEX ON plain (account);
"""
_VECTORS = """
CREATE EXTENSION vector;
CREATE TABLE items (id bigint PRIMARY KEY, doc_id text NOT NULL, body text, embedding vector(%s) NOT NULL);
INSERT INTO items SELECT i, 'doc-' || i %% 1000, repeat(md5(i::text), 8),
  (SELECT array_agg(random()::float4 - 0.5) FROM generate_series(1, %s) d WHERE i > 0)::vector
FROM generate_series(1, %s) i;
"""
_CONFIG = """
repository: {{url: repository, agent_key: {{file: agent.key}}, identity: {{file: identity.key}},
  state_dir: state, cache_dir: cache}}
sources: {{pg: {{type: postgres, uri: '{uri}', databases: [{database}], roles: none}}}}
jobs: {{nightly: {{sources: [pg]}}}}
"""


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A table for the first backup, the second one and the restore."""
    settings = {"shared_buffers": f"{512 + round(512 * scale)}MB", "fsync": "on", "synchronous_commit": "on"}
    with (
        tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory,
        running(find("initdb", _VERSION, None).with_name("postgres"), Path(directory), settings=settings) as server,
    ):
        rows, vectors = max(_LEAST, round(ROWS * scale)), max(_LEAST, round(VECTORS * scale))
        size = _fill(server, rows, vectors)
        figures: dict[str, dict[str, list[Measured]]] = {}
        for _ in range(runs):
            _round(_Bench(server, Path(directory), rows + vectors), figures)
    head = f"{rows:,} rows and {vectors:,} vectors of {DIMENSIONS:,} floats, {size / 1e6:.0f} MB in PostgreSQL"
    return "\n\n".join([head, *(render(title, found, size, _OURS) for title, found in figures.items())])


def _fill(server: Server, rows: int, vectors: int) -> int:
    """Make the workload; its tables' size in bytes."""
    with psycopg.connect(server.uri, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {_DATABASE}".encode())
    with psycopg.connect(server.uri, dbname=_DATABASE, autocommit=True) as session:
        session.execute((_PLAIN % rows).encode())
        session.execute((_VECTORS % (DIMENSIONS, DIMENSIONS, vectors)).encode())
        session.execute("VACUUM ANALYZE")
        [(size,)] = session.execute("SELECT pg_table_size('plain') + pg_table_size('items')").fetchall()
    return int(size)


def _round(bench: _Bench, figures: dict[str, dict[str, list[Measured]]]) -> None:
    for title, contestants in bench.parts().items():
        for name, run in contestants.items():
            figures.setdefault(title, {}).setdefault(name, []).append(run())


@dataclass(frozen=True, slots=True)
class _Bench:
    server: Server
    directory: Path
    rows: int

    def parts(self) -> Mapping[str, Mapping[str, Callable[[], Measured]]]:
        """In the order in which they are to be run."""
        return {
            "first backup to a directory": {_OURS: self._first, "pg_dump -Fc": self._dump},
            "second backup, unchanged": {
                _OURS: lambda: self._run(*command("backup")),
                "pg_dump -Fc": self._dump,
            },
            "restore with indexes": {
                _OURS: lambda: self._restored(
                    *command("restore", "latest", "--rename", f"{_DATABASE}={_RESTORED}"), made=False
                ),
                "pg_restore -j 2": lambda: self._restored(
                    self._tool("pg_restore"), "-j", "2", "-d", self._uri(_RESTORED), "dump", made=True
                ),
            },
        }

    def _first(self) -> Measured:
        place = Path(tempfile.mkdtemp(prefix="round-", dir=self.directory))
        self.directory.joinpath("place").unlink(missing_ok=True)
        self.directory.joinpath("place").symlink_to(place)
        place.joinpath("drtool.yaml").write_text(_CONFIG.format(uri=self.server.uri, database=_DATABASE), "utf-8")
        self._run(*command("init", "--identity-out", "identity.key"))
        return self._run(*command("backup"))

    def _dump(self) -> Measured:
        self._place.joinpath("dump").unlink(missing_ok=True)
        return self._run(self._tool("pg_dump"), "-Fc", "-f", "dump", "-d", self._uri(_DATABASE))

    def _restored(self, *arguments: str, made: bool) -> Measured:
        """Run a restore, count what it brought and drop that."""
        with psycopg.connect(self.server.uri, autocommit=True) as session:
            try:
                if made:
                    session.execute(f"CREATE DATABASE {_RESTORED} TEMPLATE template0".encode())
                measured = self._run(*arguments)
                with psycopg.connect(self.server.uri, dbname=_RESTORED) as restored:
                    query = "SELECT (SELECT count(*) FROM plain) + (SELECT count(*) FROM items)"
                    [(found,)] = restored.execute(query).fetchall()
                if found != self.rows:
                    raise FailedError(f"restored {found} of {self.rows} rows")
                return measured
            finally:
                session.execute(f"DROP DATABASE IF EXISTS {_RESTORED} WITH (FORCE)".encode())

    @property
    def _place(self) -> Path:
        return self.directory / "place"

    def _run(self, *arguments: str) -> Measured:
        return measure.run([arguments], cwd=self._place, env=environment(), server=self.server.pid)

    def _tool(self, name: str) -> str:
        return str(find(name, _VERSION, None))

    def _uri(self, database: str) -> str:
        return self.server.uri.replace("/template1?", f"/{database}?")


if __name__ == "__main__":
    sys.stdout.write(report(0.5, 1, None) + "\n")

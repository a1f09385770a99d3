"""PostgreSQL by drtool's own commands: backed up, verified by a trial restore, brought back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drtool.sources.postgres.server import Server
from tests.operations.site import Site
from tests.servers.postgres import connected, shared
from tests.servers.postgres import database as new_database


@pytest.fixture(scope="module")
def server() -> Server:
    """PostgreSQL."""
    return shared()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database with two tables, one of them with vectors."""
    with new_database(server.uri) as name:
        with connected(server.uri, name) as session:
            session.execute(
                "CREATE EXTENSION vector; CREATE TABLE docs (id bigint PRIMARY KEY, body text);"
                "CREATE TABLE items (id bigint PRIMARY KEY, doc bigint REFERENCES docs, v vector(3));"
                "INSERT INTO docs SELECT i, md5(i::text) FROM generate_series(1, 500) i;"
                "INSERT INTO items SELECT i, i, ARRAY[i, 2, 3]::vector FROM generate_series(1, 500) i"
            )
        yield name


@pytest.fixture
def site(tmp_path: Path, server: Server, database: str) -> Site:
    """A host whose job backs it up, with a relation between the two tables."""
    made = Site(tmp_path, "", {}).set_up()
    config = yaml.safe_load(made.config.read_text())
    config["sources"] = {"pg": {"type": "postgres", "uri": server.uri, "databases": [database], "roles": "none"}}
    config["jobs"] = {"nightly": {"sources": ["pg"]}}
    config["relations"] = [
        {"every": f"pg.{database}.public.items.doc", "exists_in": f"pg.{database}.public.docs.id", "name": "whole"}
    ]
    made.config.write_text(yaml.safe_dump(config))
    return made


def test_there_and_back(site: Site, server: Server, database: str) -> None:
    made = site.backup()
    assert (made["consistency"], made["records"]) == ("exact", 1000)
    again = site.backup()
    assert again["chunks"]["new"] == 0
    verified = site.ok("verify", "latest", "--level", "restored")
    assert [line["ok"] for line in verified if line["type"] in ("verification", "relation")] == [True, True]
    mistyped = site.drtool("restore", "latest", "--only", f"{database}.public.dosc", "--dry-run")
    assert mistyped.code == 2
    assert f"Did you mean {database}.public.docs?" in mistyped.err
    with connected(server.uri, database) as session:
        session.execute("DROP TABLE items, docs")
    restored = site.ok("restore", "latest", "--rename", f"{database}={database}_back")[-1]
    assert restored["records"] == restored["expected_records"] == 1000
    with connected(server.uri, f"{database}_back") as session:
        [(count, total)] = session.execute("SELECT count(*), sum(doc) FROM items").fetchall()
        assert (count, total) == (500, 125250)
    refused = site.drtool("restore", "latest", "--rename", f"{database}={database}_back")
    assert refused.code == 20

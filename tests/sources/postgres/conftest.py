"""One server for all, a database of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drtool.sources.postgres import server as servers
from drtool.sources.postgres.server import Server
from tests.servers.postgres import database as new_database
from tests.servers.postgres import shared


@pytest.fixture(scope="session")
def server() -> Server:
    """PostgreSQL of the newest version that there is."""
    return shared()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of a new database."""
    with new_database(server.uri) as name:
        yield name


@pytest.fixture(scope="session", autouse=True)
def one_initdb_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new cluster is a copy of the first of its kind: making one takes most of a sandbox's time."""
    made: dict[tuple[Any, ...], Path] = {}
    original = servers._make_cluster

    def make_cluster(initdb: Path, directory: Path, user: Any, owner: str) -> None:
        kind = (initdb, owner)
        if kind not in made:
            original(initdb, directory, user, owner)
            made[kind] = tmp_path_factory.mktemp("cluster") / "data"
            shutil.copytree(directory / "data", made[kind])
            return
        shutil.copytree(made[kind], directory / "data", dirs_exist_ok=True)
        for path in (directory / "data", *(directory / "data").rglob("*")):
            shutil.chown(path, user.pw_uid, user.pw_gid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "_make_cluster", make_cluster)
        yield

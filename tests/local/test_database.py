"""The host's own SQLite files: versions, several users, and what cannot be used."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drtool.errors import StateError
from drtool.local.database import Database

_ONE = "CREATE TABLE told (what TEXT NOT NULL)"
_TWO = "ALTER TABLE told ADD COLUMN told_at REAL; CREATE INDEX by_time ON told (told_at)"


def _rows(database: Database) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute("SELECT * FROM told ORDER BY what")]


def test_a_file_gets_the_steps_that_it_has_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "state" / "some.sqlite"
    first = Database(path, [_ONE])
    with first.transaction() as connection:
        connection.execute("INSERT INTO told VALUES ('old')")
    first.close()
    second = Database(path, [_ONE, _TWO])
    assert _rows(second) == [("old", None)]
    second.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_a_newer_drtool_is_left_alone(tmp_path: Path) -> None:
    Database(tmp_path / "some.sqlite", [_ONE, _TWO]).close()
    with pytest.raises(StateError, match="of a newer drtool") as caught:
        Database(tmp_path / "some.sqlite", [_ONE])
    assert "one version" in caught.value.hint


def test_an_error_undoes_the_transaction(tmp_path: Path) -> None:
    database = Database(tmp_path / "some.sqlite", [_ONE])
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO told VALUES ('half')")
        raise ZeroDivisionError
    assert _rows(database) == []
    database.close()


def test_several_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"

    def write(number: int) -> None:
        database = Database(path, [_ONE])
        for turn in range(5):
            with database.transaction() as connection:
                connection.execute("INSERT INTO told VALUES (?)", (f"{number}-{turn}",))
        database.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    database = Database(path, [_ONE])
    assert len(_rows(database)) == 20
    database.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 4])
def test_what_is_no_database_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateError, match="cannot be used") as caught:
        Database(path, [_ONE])
    assert "state_dir" in caught.value.hint


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "some.sqlite", [_ONE])
    with database.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StateError, match="full"):
        for _ in range(1000):
            with database.transaction() as connection:
                connection.execute("INSERT INTO told VALUES (?)", ("x" * 2000,))
    with database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    database.close()
    assert sqlite3.connect(tmp_path / "some.sqlite").execute("SELECT count(*) FROM told").fetchone()[0] >= 0

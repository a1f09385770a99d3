"""What a backup meets: privileges that lack, row-level security, programs that are too old, databases far apart."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from psycopg import OperationalError

from drtool.errors import AuthenticationError, InstantMovedError, MissingToolError, SourceError, UsageError
from drtool.sources.base import MISSING
from drtool.sources.cutting import CutRule, join
from drtool.sources.postgres import PostgresSource, freezing
from drtool.sources.postgres.server import Server
from drtool.sources.reading import WHOLE, Consistency, KeyRange, Proof
from tests.servers.postgres import Session, connected
from tests.servers.postgres import database as new_database
from tests.servers.process import wait_until
from tests.sources.contract import back_up, rule_of
from tests.sources.postgres import zoo


def as_role(server: Server, role: str) -> str:
    """The server's address for another role."""
    return server.uri.replace("postgres@", f"{role}@")


@pytest.fixture
def role(server: Server, database: str) -> str:
    """A role without any privilege of its own."""
    name = f"{database}_role"
    with connected(server.uri) as session:
        session.execute(f"CREATE ROLE {name} LOGIN".encode())
    return name


def test_a_table_that_may_not_be_read_is_named(server: Server, database: str, role: str) -> None:
    with connected(server.uri, database) as session:
        session.execute(
            f"CREATE TABLE open (id int); CREATE TABLE closed (id int); GRANT SELECT ON open TO {role}".encode()
        )
    with closing(PostgresSource("pg", uri=as_role(server, role), databases=[database])) as source:
        assert any("passwords" in warning for warning in source.probe().warnings)
        assert [lack.privilege for lack in source.lacks() if "public.closed" in lack.privilege and lack.fatal]
        assert not [lack for lack in source.lacks() if "public.open" in lack.privilege]
        with pytest.raises(AuthenticationError) as caught:
            back_up(source)
    assert "closed" in caught.value.message
    assert caught.value.hint


def test_rows_that_a_policy_hides_are_an_error_that_names_the_table(server: Server, database: str, role: str) -> None:
    with connected(server.uri, database) as session:
        session.execute(
            "CREATE TABLE hiding (id int); INSERT INTO hiding VALUES (1); ALTER TABLE hiding ENABLE ROW LEVEL SECURITY;"
            f" CREATE POLICY p ON hiding USING (false); GRANT SELECT ON hiding TO {role}".encode()
        )
    with closing(PostgresSource("pg", uri=as_role(server, role), databases=[database], roles=False)) as source:
        assert any("hiding" in lack.privilege for lack in source.lacks())
        with pytest.raises(AuthenticationError) as caught:
            back_up(source)
    assert "hiding" in caught.value.message


def test_a_role_that_may_read_everything_is_enough(server: Server, database: str, role: str) -> None:
    zoo.make(server.uri, database)
    with connected(server.uri, database) as session:
        session.execute(f"GRANT pg_read_all_data TO {role}; ALTER ROLE {role} BYPASSRLS".encode())
        session.execute("SELECT lo_unlink(4711), lo_unlink(4712)")
    with closing(PostgresSource("pg", uri=as_role(server, role), databases=[database])) as source:
        assert source.lacks() == []
        assert source.probe().warnings == ()
        copies = back_up(source)
    assert len(copies[f"{database}.public.secret"].chunks) == 1


def test_a_wrong_password_is_not_shown(server: Server, database: str, role: str) -> None:
    with connected(server.uri) as session:
        session.execute(f"ALTER ROLE {role} PASSWORD 'right'".encode())
        [(file,)] = session.execute("SHOW hba_file").fetchall()
        rules = Path(file).read_text()
        Path(file).write_text(f"local all {role} scram-sha-256\n{rules}")
        session.execute("SELECT pg_reload_conf()")
    uri = server.uri.replace("postgres@", f"{role}:sesame@")
    wait_until(lambda: not _lets_in(uri), "the server to read its rules again")
    with closing(PostgresSource("pg", uri=uri)) as source, pytest.raises(AuthenticationError) as caught:
        source.probe()
    assert "sesame" not in caught.value.message + caught.value.hint
    with closing(PostgresSource("pg", uri=uri.replace("sesame", "right"), databases=[database], roles=False)) as source:
        assert f"{database}.$definitions" in back_up(source)  # pg_dump gets the password, too


def _lets_in(uri: str) -> bool:
    try:
        with connected(uri):
            return True
    except OperationalError:
        return False


def test_a_pg_dump_older_than_the_server_is_refused(server: Server, database: str, tmp_path: Path) -> None:
    older = tmp_path / "pg_dump"
    older.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.22'\n")
    older.chmod(0o755)
    with (
        closing(PostgresSource("pg", uri=server.uri, databases=[database], bin_dir=tmp_path)) as source,
        pytest.raises(MissingToolError) as caught,
    ):
        source.probe()
    assert "older than the server" in caught.value.message
    assert "bin_dir" in caught.value.hint


def test_no_pg_dump_at_all_is_named(server: Server, tmp_path: Path) -> None:
    source = PostgresSource("pg", uri=server.uri, bin_dir=tmp_path)
    with closing(source), pytest.raises(MissingToolError) as caught:
        source.probe()
    assert str(tmp_path) in caught.value.message


def test_databases_of_a_quiet_server_are_of_one_instant(server: Server) -> None:
    with new_database(server.uri) as one, new_database(server.uri) as other:
        source = PostgresSource("pg", uri=server.uri, databases=[one, other], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            assert view.settle().consistency is Consistency.EXACT
            assert len(set(view.point["visible"].values())) == 1
            assert {stream.name for stream in view.streams()} == {f"{one}.$definitions", f"{other}.$definitions"}


def test_a_table_cannot_be_emptied_while_it_is_read(server: Server, database: str) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            session.execute("SET lock_timeout = '50ms'")
            for statement in (b"TRUNCATE t", b"DROP TABLE t", b"VACUUM FULL t"):
                with pytest.raises(Exception, match="lock timeout"):
                    session.execute(statement)
            [stream] = [stream for stream in view.streams() if stream.name.endswith(".t")]
            assert sum(chunk.records for chunk in view.chunks(stream, WHOLE, rule_of(stream))) == 1


def test_a_view_dropped_before_its_definition_was_read_moves_the_instant(server: Server, database: str) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE VIEW v AS SELECT 1 AS n")
        source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            session.execute("DROP VIEW v")
            with pytest.raises(InstantMovedError):
                view.streams()


def test_rows_that_are_excluded_are_defined_all_the_same(server: Server, database: str) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE kept (id int); CREATE TABLE left_out (id int)")
    exclude = [f"{database}.public.left_*"]
    source = PostgresSource("pg", uri=server.uri, databases=[database], exclude=exclude, roles=False)
    with closing(source):
        copies = back_up(source)
    assert f"{database}.public.kept" in copies
    assert f"{database}.public.left_out" not in copies
    shown = source.describe(copies[f"{database}.$definitions"].stream.definition)
    assert shown["objects"]["TABLE"] == 2
    assert shown["tables"] == ["public.kept"]


def test_what_holds_numbers_of_the_catalogue_is_canonical(server: Server, database: str) -> None:
    zoo.make(server.uri, database)
    with closing(PostgresSource("pg", uri=server.uri, databases=[database], roles=False)) as source:
        copies = back_up(source)
    canonical = {name for name, copy in copies.items() if copy.stream.proof is Proof.CANONICAL}
    assert canonical == {f"{database}.public.{name}" for name in ("moods", "keyless", "child", "nothing")}


def test_values_of_columns(server: Server, database: str) -> None:
    zoo.make(server.uri, database)
    with closing(PostgresSource("pg", uri=server.uri, databases=[database], roles=False)) as source:
        copies = back_up(source)

        def values(table: str, path: str) -> list[object]:
            copy = copies[f"{database}.public.{table}"]
            return list(source.values(copy.stream, (chunk.data for chunk in copy.chunks), path))

        assert values("big", "id") == list(range(1, 5001))
        assert values("big", "name")[:2] == ["n1", "n2"]
        assert values("big", "at")[0] == datetime(2024, 5, 5, 10, tzinfo=UTC)
        assert values("texts", "k") == ["", "Z", "a", "ä"]
        assert values("texts", "v.author.id") == [MISSING, MISSING, MISSING, 7]
        assert values("texts", "v.tags.n") == [MISSING, MISSING, MISSING, [1, 2]]
        assert values("texts", "n") == [-5, 1234567890123456789.001, 0, "NaN"]
        assert values("texts", "u") == [None, None, None, UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]
        assert values("texts", "b") == [None, False, None, True]
        assert values("texts", "a") == [None, [], [1, 2, 3, 4], [1, 2, None]]
        assert values("texts", "s") == [None, None, None, ["x", "y z"]]
        assert values("moods", "n") == [2, 3, 1]
        assert values("moods", "m") == ["sad", "ok", "happy"]
        for path in ("nope", "name.inner"):
            with pytest.raises(UsageError):
                values("big", path)
        definitions = copies[f"{database}.$definitions"].stream
        with pytest.raises(UsageError):
            list(source.values(definitions, (), "x"))


def test_a_part_may_begin_and_end_within_a_long_row(server: Server, database: str) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE long (id int PRIMARY KEY, body text)")
        session.execute("ALTER TABLE long ALTER body SET STORAGE EXTERNAL")
        session.execute(
            "INSERT INTO long SELECT i, repeat(i::text, 8600000 * (i % 2) + 1) FROM generate_series(1, 4) i"
        )
    source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
    with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        [stream] = [stream for stream in view.streams() if stream.name.endswith(".long")]
        rule = CutRule.for_average(bytes(32), 1000)
        whole = list(view.chunks(stream, WHOLE, rule))
        assert len(whole) >= 4
        bounds = [None, *(chunk.first for chunk in whole[1:]), None]
        lists = [list(view.chunks(stream, KeyRange(lower, upper), rule)) for lower, upper in pairwise(bounds)]
        joined = join(lists, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
        assert [chunk.data for chunk in joined] == [chunk.data for chunk in whole]


def test_a_server_that_closes_in_the_middle_is_named(server: Server, database: str) -> None:
    zoo.make(server.uri, database)
    with connected(server.uri, database) as session:
        source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            streams = {stream.name: stream for stream in view.streams()}
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [database],
            )
            with pytest.raises(SourceError):
                list(view.chunks(streams[f"{database}.public.big"], WHOLE, CutRule.for_average(bytes(32), 500)))


def test_what_is_excluded_is_described_all_the_same_and_so_must_be_readable(
    server: Server, database: str, role: str
) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE SCHEMA closed; CREATE TABLE closed.t (id int); CREATE SEQUENCE closed.s")
    source = PostgresSource(
        "pg", uri=as_role(server, role), databases=[database], exclude=[f"{database}.closed"], roles=False
    )
    with closing(source):
        told = [lack.privilege for lack in source.lacks() if lack.fatal]
        assert [any(f"{database}.closed.{name} " in each for each in told) for name in "ts"] == [True, True]
        with pytest.raises(AuthenticationError) as caught:
            back_up(source)
    assert "closed" in caught.value.message
    assert caught.value.hint


def test_tables_that_change_places_move_the_instant(server: Server, database: str) -> None:
    with connected(server.uri, database) as session, connected(server.uri, database) as other:
        session.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
        session.execute(
            "BEGIN; ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b;"
            " LOCK a, b IN ACCESS EXCLUSIVE MODE"
        )
        source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, ThreadPoolExecutor(1) as pool:
            frozen = pool.submit(prepared.freeze)
            try:
                wait_until(lambda: _waits(other), "a lock to be waited for")
            finally:
                session.execute("COMMIT")
            with pytest.raises(InstantMovedError):
                frozen.result().close()


def _waits(session: Session) -> bool:
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname ="
    return bool(session.execute(f"{waiting} current_database())".encode()).fetchall())


def test_a_table_that_is_held_for_long_is_an_error_that_says_so(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "_LOCK_SECONDS", 1)
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE t (id int)")
        session.execute("BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE")
        source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
        with closing(source), closing(source.prepare(None)) as prepared, pytest.raises(SourceError) as caught:
            prepared.freeze()
    assert database in caught.value.message
    assert "ALTER TABLE" in caught.value.hint


def test_reading_ends_when_it_is_given_up(server: Server, database: str) -> None:
    zoo.make(server.uri, database)
    source = PostgresSource("pg", uri=server.uri, databases=[database], roles=False)
    with closing(source), closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        [stream] = [stream for stream in view.streams() if stream.name.endswith(".big")]
        reading = view.chunks(stream, WHOLE, rule_of(stream))
        next(reading)
        view.cancel()
        with contextlib.suppress(StopIteration), pytest.raises(Exception, match="given up"):
            while True:
                next(reading)

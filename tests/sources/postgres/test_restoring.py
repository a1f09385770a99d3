"""What a restore meets: a part of a database, what the target lacks, rows longer than a record, another tool."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import (
    ExportError,
    IncompleteRestoreError,
    MissingToolError,
    SourceError,
    TargetNotEmptyError,
    UsageError,
)
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.postgres import PostgresSource, definitions, dumping, tools
from drtool.sources.postgres.definitions import DatabaseDefinition
from drtool.sources.postgres.server import Server, running
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.servers.postgres import connected
from tests.sources.contract import Copy, back_up, check_restored, load_all, plan_for, restore
from tests.sources.postgres import zoo


@pytest.fixture
def source(server: Server, database: str) -> Iterator[PostgresSource]:
    """The database as a source, empty."""
    with closing(PostgresSource("pg", uri=server.uri, databases=[database], roles=False)) as found:
        yield found


def only(plan: RestorePlan, *patterns: str) -> RestorePlan:
    """A part of a plan, as ``--only`` chooses it."""
    chosen = tuple(
        item
        for item in plan.items
        if any(PostgresSource("pg", uri="").matches(item.stream.name, pattern) for pattern in patterns)
    )
    return RestorePlan(chosen, plan.marker)


def test_one_table_comes_back_beside_without_what_it_refers_to(
    server: Server, database: str, source: PostgresSource
) -> None:
    zoo.make(server.uri, database)
    copies = back_up(source)
    plan = only(plan_for(source, copies), f"{database}.public.refers")
    with closing(source.target(None)) as target:
        notes = target.inspect(plan).notes
        assert any("foreign keys are left out" in note for note in notes)
        restore(target, plan, copies)
    with connected(server.uri, f"{database}_restored") as session:
        [(rows, others)] = session.execute(
            "SELECT (SELECT count(*) FROM refers), (SELECT count(*) FROM big)"
        ).fetchall()
        assert (rows, others) == (20, 0)
        assert session.execute("SELECT nextval('refers_id_seq')").fetchall() == [(21,)]
        kinds = session.execute("SELECT DISTINCT contype::text FROM pg_constraint WHERE contype IN ('f', 'p')")
        assert kinds.fetchall() == [("p",)]


def test_in_place_replaces_a_whole_database_or_nothing(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int); INSERT INTO a VALUES (1)")
        session.execute("INSERT INTO b VALUES (1)")
    copies = back_up(source)
    items = tuple(
        RestoreItem(copy.stream, name, sum(chunk.records for chunk in copy.chunks), len(copy.data))
        for name, copy in copies.items()
    )
    with connected(server.uri, database) as session:
        session.execute("DELETE FROM a; CREATE TABLE since (id int)")
    with closing(source.target(None)) as target:
        with pytest.raises(TargetNotEmptyError):
            target.begin(RestorePlan(items, "m"))
        part = tuple(item for item in items if not item.name.endswith(".b"))
        with pytest.raises(UsageError):
            target.inspect(RestorePlan(part, "m", replace=True))
        restore(target, RestorePlan(items, "m", replace=True), copies)
        check_restored(source, target, RestorePlan(items, "m"), copies)


def test_rows_that_no_backup_holds_are_not_dropped_with_their_database(server: Server, database: str) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE s (id int)")
    source = PostgresSource("pg", uri=server.uri, databases=[database], exclude=[f"{database}.public.s"], roles=False)
    copies = back_up(source)
    items = tuple(replace(item, name=item.stream.name) for item in plan_for(source, copies).items)
    plan = RestorePlan(items, "m", replace=True)
    with closing(source.target(None)) as target:
        assert target.inspect(plan).lasting == ()
        assert [source.matches(f"{database}.public.since", one) for one in target.inspect(plan).swept] == [True]
        with connected(server.uri, database) as session:
            session.execute("INSERT INTO s VALUES (1)")
        [told] = target.inspect(plan).lasting
        assert told.startswith(f"{database}.public.s: ")
        with pytest.raises(TargetNotEmptyError):
            target.begin(plan)
    with connected(server.uri, database) as session:
        assert session.execute("SELECT count(*) FROM s").fetchall() == [(1,)]


def test_an_empty_database_is_used_as_it_is(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    copies = back_up(source)
    plan = plan_for(source, copies)
    with connected(server.uri) as session:
        session.execute(f"CREATE DATABASE {database}_restored".encode())
        before = session.execute("SELECT oid FROM pg_database WHERE datname = %s", [f"{database}_restored"]).fetchall()
    with closing(source.target(None)) as target:
        assert target.inspect(plan).occupied == ()
        restore(target, plan, copies)
        check_restored(source, target, plan, copies)
    with connected(server.uri) as session:
        after = session.execute("SELECT oid FROM pg_database WHERE datname = %s", [f"{database}_restored"]).fetchall()
    assert after == before


def changed(copy: Copy, **changes: object) -> Copy:
    """The definitions of a database that say something else."""
    found = DatabaseDefinition.decode(copy.stream.definition)
    stream = replace(copy.stream, definition=replace(found, **changes).encode())  # type: ignore[arg-type]
    return Copy(stream, copy.chunks)


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"extensions": {"plpgsql": "1.0", "no_such_extension": "1"}}, MissingToolError, "no_such_extension"),
        ({"needs": ("postgres", "no_such_role")}, SourceError, "no_such_role"),
    ],
)
def test_what_the_target_lacks_is_named_before_anything_is_written(
    server: Server,
    database: str,
    source: PostgresSource,
    changes: dict[str, object],
    error: type[SourceError],
    named: str,
) -> None:
    copies = {name: changed(copy, **changes) for name, copy in back_up(source).items()}
    plan = plan_for(source, copies)
    with closing(source.target(None)) as target:
        for attempt in (target.inspect, target.begin):
            with pytest.raises(error) as caught:
                attempt(plan)
            assert named in caught.value.message
    with connected(server.uri) as session:
        assert not session.execute("SELECT FROM pg_database WHERE datname = %s", [f"{database}_restored"]).fetchall()


def test_a_row_that_the_target_refuses_is_named(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE a (id int PRIMARY KEY, b int); INSERT INTO a VALUES (1, 5)")
    copies = back_up(source)
    name = f"{database}.$definitions"
    pre = DatabaseDefinition.decode(copies[name].stream.definition).pre.replace("b integer", "b integer CHECK (b < 5)")
    copies[name] = changed(copies[name], pre=pre)
    with closing(source.target(None)) as target, pytest.raises(IncompleteRestoreError) as caught:
        restore(target, plan_for(source, copies), copies)
    assert f"{database}_restored.public.a" in caught.value.message


def test_rows_longer_than_a_record_come_back(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE long (id int PRIMARY KEY, body text); CREATE TABLE keyless (body text)")
        session.execute("INSERT INTO long VALUES (1, 'a'), (2, repeat('long', 2500000)), (3, 'b')")
        session.execute("INSERT INTO keyless VALUES (repeat('long', 1200000))")
    copies = back_up(source)
    name = f"{database}.public.long"
    chunks = [chunk.data for chunk in copies[name].chunks]
    assert sum(chunk.records for chunk in copies[name].chunks) == 5
    plan = plan_for(source, copies)
    [long] = [item for item in plan.items if item.stream.name == name]
    with closing(source.target(None)) as target:
        target.begin(plan)
        target.load(long, chunks[:1])
        with pytest.raises(IncompleteRestoreError):
            target.finish(plan, lambda sentence: None)
        target.begin(plan)
        load_all(target, RestorePlan(tuple(item for item in plan.items if item is not long), plan.marker), copies)
        # as two writers that share the chunks may get them
        assert sum(target.load(long, some).records for some in (chunks[0::2], chunks[1::2])) == 5
        target.finish(plan, lambda sentence: None)
        check_restored(source, target, plan, copies)


def _export(source: PostgresSource, copies: Mapping[str, Copy], directory: Path) -> None:
    exporter = source.exporter(ExportPlace("there", "18", directory))
    items = [
        ExportItem(copy.stream, sum(chunk.records for chunk in copy.chunks), len(copy.data)) for copy in copies.values()
    ]
    for item in exporter.begin(items):
        written = exporter.write(item, (chunk.data for chunk in copies[item.stream.name].chunks))
        assert (written.records, written.bytes) == (item.records, item.bytes)
    assert any("psql" in note for note in exporter.finish())


def _read_by_psql(server: Server, directory: Path) -> None:
    psql = tools.find("psql", 14, None)
    done = subprocess.run(
        [psql, "-X", "-q", "-d", server.uri, "-f", "restore.sql"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_psql_reads_an_export(server: Server, database: str, source: PostgresSource, tmp_path: Path) -> None:
    zoo.make(server.uri, database)
    with connected(server.uri, database) as session:
        expected = zoo.listing(session, database)
    copies = back_up(source)
    _export(source, copies, tmp_path)
    with connected(server.uri) as session:
        session.execute(f"DROP DATABASE {database}".encode())
    _read_by_psql(server, tmp_path)
    with connected(server.uri, database) as session:
        assert zoo.listing(session, database) == expected
    after = back_up(source)
    for name, copy in copies.items():
        assert list(source.differences(copy.stream, after[name].stream)) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_names_and_text_in_the_database_s_own_encoding(
    server: Server, database: str, source: PostgresSource, tmp_path: Path, encoding: str
) -> None:
    with connected(server.uri) as session:
        session.execute(f"DROP DATABASE {database}".encode())
        of = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        session.execute(f"CREATE DATABASE {database} {of}".encode())
    with connected(server.uri, database) as session:
        session.execute("SET client_encoding TO UTF8")
        session.execute('CREATE TABLE "täb" ("köy" text PRIMARY KEY, b text); CREATE TABLE "kéyless" (b text)'.encode())
        session.execute(
            "INSERT INTO \"täb\" VALUES ('ä', 'ü'), ('b', NULL); INSERT INTO \"kéyless\" VALUES ('ß')".encode()
        )
        if encoding == "SQL_ASCII":
            session.execute("SET client_encoding TO SQL_ASCII")
            session.execute(b"INSERT INTO \"t\xc3\xa4b\" VALUES ('\xff', '\xe4')")
            session.execute("SELECT lo_create(7)")
    copies = back_up(source)
    assert source.lacks() == []
    plan = plan_for(source, copies)
    with closing(source.target(None)) as target:
        restore(target, plan, copies)
        check_restored(source, target, plan, copies)
    _export(source, copies, tmp_path)
    with connected(server.uri) as session:
        session.execute(f"DROP DATABASE {database}".encode())
    _read_by_psql(server, tmp_path)
    assert {name: copy.data for name, copy in back_up(source).items() if copy.stream.kind == definitions.TABLE} == {
        name: copy.data for name, copy in copies.items() if copy.stream.kind == definitions.TABLE
    }


def test_a_name_that_psql_would_take_for_a_command_is_not_exported(
    server: Server, database: str, source: PostgresSource, tmp_path: Path
) -> None:
    with connected(server.uri, database) as session:
        session.execute('CREATE TABLE "a\n\\! true" (id int PRIMARY KEY)')
    copies = back_up(source)
    with pytest.raises(ExportError) as caught:
        _export(source, copies, tmp_path)
    assert caught.value.hint
    plan = plan_for(source, copies)
    with closing(source.target(None)) as target:
        restore(target, plan, copies)
        check_restored(source, target, plan, copies)


@pytest.mark.heavy
def test_thousands_of_tables_need_not_be_locked_at_once(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        for start in range(0, 400, 100):
            many = (f"CREATE TABLE t{start + number} (id serial, body text);" for number in range(100))
            session.execute("".join(many).encode())
    copies = back_up(source)
    plan = plan_for(source, copies)
    postgres = tools.find("postgres", 18, None)
    few = {"max_locks_per_transaction": "10", "max_connections": "20"}
    with running(postgres, settings=few) as small, closing(source.target(small.uri)) as target:
        target.begin(plan)
        with connected(small.uri, f"{database}_restored") as session:
            assert session.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall() == [(400,)]


def test_a_function_may_hold_what_pg_dump_says_at_its_end() -> None:
    def entry(name: str, body: str) -> str:
        return f"--\n-- Name: {name}; Type: FUNCTION; Schema: public; Owner: me\n--\n\n{body}\n"

    end = "--\n-- PostgreSQL database dump complete\n--\n"
    sql = entry("one", f"$$\n{end}$$;") + entry("two", "$$ $$;") + end
    assert [found.name for found in dumping.entries(sql)] == ["one", "two"]


def test_no_password_is_left_in_a_file() -> None:
    with dumping._service("postgresql://me:sesame@db/app", "app") as environment:
        assert environment["PGPASSWORD"] == "sesame"
        assert "sesame" not in Path(environment["PGSERVICEFILE"]).read_text(encoding="utf-8")


def test_there_is_no_archive(source: PostgresSource) -> None:
    with pytest.raises(UsageError):
        source.exporter(ExportPlace("there", "18"))


def test_differences_are_named(server: Server, database: str, source: PostgresSource) -> None:
    with connected(server.uri, database) as session:
        session.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE VIEW v AS SELECT id FROM a")
    before = back_up(source)
    with connected(server.uri, database) as session:
        session.execute("CREATE OR REPLACE VIEW v AS SELECT id FROM a WHERE id > 1; CREATE INDEX extra ON a (id)")
        session.execute(f"ALTER DATABASE {database} SET work_mem TO '1MB'; ALTER TABLE a ADD COLUMN b int".encode())
    after = back_up(source)
    name = f"{database}.$definitions"
    found = source.differences(before[name].stream, after[name].stream)
    assert {"the database's settings differ", "VIEW v in public differs", "TABLE a in public differs"} <= set(found)
    assert any("extra" in sentence for sentence in found)
    name = f"{database}.public.a"
    assert source.differences(before[name].stream, after[name].stream) == ("its columns differ",)


def test_roles_come_back_where_they_lack(server: Server, database: str, tmp_path: Path) -> None:
    role, group = f"{database}_role", f"{database}_group"
    with connected(server.uri, database) as session:
        session.execute(f"CREATE ROLE {group} NOLOGIN; CREATE ROLE {role} LOGIN PASSWORD 'sesame' CREATEDB".encode())
        session.execute(f'GRANT {group} TO {role}; ALTER ROLE {role} SET search_path TO a, "b c"'.encode())
        session.execute(f"COMMENT ON ROLE {role} IS 'one'; CREATE TABLE t (id int)".encode())
        session.execute(f"ALTER TABLE t OWNER TO {role}".encode())
    try:
        with closing(PostgresSource("pg", uri=server.uri, databases=[database])) as source:
            copies = back_up(source)
            assert "SCRAM" not in str(source.describe(copies["$roles"].stream.definition))
            assert "SCRAM" in str(copies["$roles"].stream.definition)
            plan = plan_for(source, copies)
            with source.sandbox("18.0", tmp_path) as box, closing(source.target(box.uri)) as target:
                restore(target, plan, copies)
                check_restored(source, target, plan, copies)
                with connected(box.uri) as session:
                    owner = session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchall()
                    assert owner[0][0].startswith("SCRAM-SHA-256$")
    finally:
        with connected(server.uri, database) as session:
            session.execute(f"DROP TABLE t; DROP ROLE {role}; DROP ROLE {group}".encode())
    assert copies["$roles"].stream.kind == definitions.ROLES

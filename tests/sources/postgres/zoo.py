"""Whatever is awkward about PostgreSQL, in one database, and all of its rows found without drtool."""

from __future__ import annotations

import functools
import struct
import uuid

from tests.servers.postgres import Session, connected

#: Roles are the whole server's: all databases of the zoo share these.
ROLES = ("zoo_owner", "zoo_reader")
LARGE = 70_000

_SQL = f"""
CREATE EXTENSION vector;
CREATE SCHEMA "odd.one";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE counter START 100 INCREMENT 7;
SELECT nextval('counter'), nextval('counter');
CREATE SEQUENCE untouched;

CREATE TABLE big (id bigint PRIMARY KEY, name text NOT NULL, body bytea, at timestamptz DEFAULT '2024-05-05 12:00+02');
INSERT INTO big SELECT i, 'n' || i, substring(decode(repeat(md5(i::text), 40), 'hex'), 1, 500 + (i % 100)::int)
FROM generate_series(1, 5000) i;
COMMENT ON TABLE big IS 'it''s big';

CREATE TABLE texts (k text PRIMARY KEY, v jsonb, n numeric, f float8, u uuid, b boolean, i interval, r int4range,
                    t tsvector, a int[], s text[], m money, h inet, o oid);
INSERT INTO texts VALUES
  ('ä', '{{"author": {{"id": 7}}, "tags": [{{"n": 1}}, {{"n": 2}}]}}', 'NaN', 'infinity',
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, '1 mon 2 days', '[1,5)', 'a fat cat', '{{1,2,NULL}}', '{{x,"y z"}}',
   12.5, '10.0.0.1/8', 4711),
  ('Z', NULL, 1234567890123456789.00100, -0.0, NULL, false, NULL, 'empty', '', '{{}}', NULL, NULL, NULL, NULL),
  ('a', '[]', 0, 'nan', NULL, NULL, NULL, NULL, NULL, '{{{{1,2}},{{3,4}}}}', NULL, NULL, NULL, NULL),
  ('', 'null', -5, 1e-300, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE embeddings (id uuid PRIMARY KEY, v vector(8), h halfvec(8), s sparsevec(20), b bit(8));
INSERT INTO embeddings SELECT md5(i::text)::uuid, ARRAY[i,1,2,3,4,5,6,random()]::vector, ARRAY[i,1,2,3,4,5,6,7],
  '{{1:1.5,7:2}}/20', i::bit(8) FROM generate_series(1, 300) i;
CREATE INDEX ON embeddings USING hnsw (v vector_cosine_ops);

CREATE TABLE moods (m mood, n positive, ms mood[], p pair, c regclass, PRIMARY KEY (m, n));
INSERT INTO moods VALUES ('happy', 1, '{{sad,ok}}', '(1,"x\ty")', 'big'), ('sad', 2, NULL, NULL, NULL),
  ('ok', 3, '{{}}', '(,"new
line and \\\\ back")', 'pg_class');
CREATE TABLE keyless (a int, b text);
INSERT INTO keyless SELECT i % 5, 'x' FROM generate_series(1, 50) i;
CREATE TABLE "odd.one"."T.a b""le" (id int GENERATED ALWAYS AS IDENTITY, "Col umn" text, g int GENERATED ALWAYS AS
  (length("Col umn")) STORED, gone int, UNIQUE (id));
ALTER TABLE "odd.one"."T.a b""le" DROP COLUMN gone;
INSERT INTO "odd.one"."T.a b""le" ("Col umn") VALUES ('q'), (NULL);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE empty (id int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged (a int NOT NULL UNIQUE);
INSERT INTO unlogged VALUES (2), (1);

CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END FROM generate_series(1, 100) i;
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'two');

CREATE TABLE refers (id serial PRIMARY KEY, big bigint REFERENCES big);
INSERT INTO refers (big) SELECT i FROM generate_series(1, 20) i;
CREATE TABLE secret (id int PRIMARY KEY, whose text);
INSERT INTO secret VALUES (1, 'zoo_reader'), (2, 'zoo_owner');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (whose = current_user);
ALTER TABLE secret OWNER TO zoo_owner;
GRANT SELECT ON secret, big TO zoo_reader;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;
CREATE TABLE guarded (id int PRIMARY KEY);
INSERT INTO guarded VALUES (1);
CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();

CREATE VIEW plain_view AS SELECT id FROM big;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM big;
CREATE UNIQUE INDEX ON counted (n);
CREATE MATERIALIZED VIEW above AS SELECT n + 1 AS n FROM counted;
CREATE MATERIALIZED VIEW unpopulated AS SELECT 1 AS n WITH NO DATA;

SELECT lo_from_bytea(4711, convert_to(repeat('large', {LARGE // 5}), 'UTF8')), lo_create(4712);
COMMENT ON LARGE OBJECT 4711 IS 'a large one';
GRANT SELECT ON LARGE OBJECT 4711 TO zoo_reader;
"""


@functools.cache
def _original(uri: str) -> str:
    """A database of a server that is the zoo: copying it is quicker than filling another one."""
    name = f"zoo{uuid.uuid4().hex[:12]}"
    with connected(uri) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    with connected(uri, name) as session:
        _fill(session)
    return name


def make(uri: str, name: str) -> None:
    """A database of a server becomes the zoo, whatever was in it."""
    original = _original(uri)
    with connected(uri) as session:
        session.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        session.execute(f'CREATE DATABASE "{name}" TEMPLATE {original} STRATEGY file_copy'.encode())
        session.execute(f"ALTER DATABASE \"{name}\" SET work_mem TO '5MB'".encode())
        session.execute(f'ALTER DATABASE "{name}" SET search_path TO public, "odd.one"'.encode())
        session.execute(f"COMMENT ON DATABASE \"{name}\" IS 'a zoo'".encode())


def _fill(session: Session) -> None:
    for role in ROLES:
        made = f"CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL"
        session.execute(f"DO $$BEGIN {made}; END$$".encode())
    session.execute(_SQL.encode())


def change(session: Session) -> None:
    """Add, alter and remove."""
    session.execute(
        "DELETE FROM big WHERE id BETWEEN 100 AND 200; UPDATE big SET name = 'changed' WHERE id > 4000;"
        " INSERT INTO keyless VALUES (1, 'y'); CREATE TABLE new (id int); SELECT nextval('counter');"
        " SELECT lo_put(4711, 0, 'changed')"
    )


#: What each table's rows are ordered by, how many columns that is, and whether they are text.
_ORDERS = {
    "big": ("id", 1),
    "texts": ('k COLLATE "C"', 1),
    "embeddings": ("id", 1),
    "moods": ("m, n", 2),
    "keyless": ("", 0),
    '"odd.one"."T.a b""le"': ("id", 1),
    "nothing": ("", 0),
    "empty": ("id", 1),
    "unlogged": ("a", 1),
    "parted_eu": ('id, region COLLATE "C"', 2),
    "parted_rest": ('id, region COLLATE "C"', 2),
    "parent": ("id", 1),
    "child": ("", 0),
    "refers": ("id", 1),
    "secret": ("id", 1),
    "guarded": ("id", 1),
    "new": ("", 0),
}
_TEXT = {"public.moods"}


def listing(session: Session, database: str) -> dict[str, list[bytes] | None]:
    """The records of every stream."""
    session.execute("SET search_path = ''")
    found: dict[str, list[bytes] | None] = {
        f"{database}.$definitions": None,
        f"{database}.public.counted": None,
        f"{database}.public.above": None,
        f"{database}.public.unpopulated": None,
        f"{database}.$sequences": _sequences(session),
        f"{database}.$largeobjects": _large_objects(session),
    }
    for table, (order, key) in _ORDERS.items():
        name = table if "." in table else f"public.{table}"
        [(exists,)] = session.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchall()
        if exists:
            found[f"{database}.{name}"] = _rows(session, name, order, key)
    return found


def _rows(session: Session, table: str, order: str, key: int) -> list[bytes]:
    text = table in _TEXT
    columns = 'id, "Col umn"' if "odd" in table else "" if table == "public.nothing" else "*"
    query = f"SELECT {columns} FROM ONLY {table}" + (f" ORDER BY {order}" if order else "")
    with session.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT {'text' if text else 'binary'})".encode()) as copy:
        data = [bytes(piece) for piece in copy]
    if not text:
        data[0] = data[0][19:]
        data = [row for row in data if row != b"\xff\xff"]
    kind = key | (0x40 if text else 0)
    return [struct.pack(">I", kind << 24 | len(row)) + row for row in data]


def _sequences(session: Session) -> list[bytes]:
    found = []
    for schema, name in session.execute("SELECT schemaname, sequencename FROM pg_sequences").fetchall():
        [(last, called)] = session.execute(
            f'SELECT last_value, is_called FROM "{schema}"."{name.replace(chr(34), 2 * chr(34))}"'.encode()
        ).fetchall()
        row = f"{schema}\0{name}\0{last}\0{'t' if called else 'f'}\0".encode()
        found.append(struct.pack(">I", 0x3E << 24 | len(row)) + row)
    return sorted(found, key=lambda record: record[4:])


def _large_objects(session: Session) -> list[bytes]:
    [(data,)] = session.execute("SELECT lo_get(4711)").fetchall()
    about = (
        b'{"comment":"a large one","grants":[["postgres","SELECT",false],["postgres","UPDATE",false],'
        b'["zoo_reader","SELECT",false]],"owner":"postgres"}'
    )
    empty = b'{"comment":null,"grants":null,"owner":"postgres"}'
    rows = [
        struct.pack(">II", 4711, 0) + about,
        struct.pack(">II", 4711, 1) + data,
        struct.pack(">II", 4712, 0) + empty,
    ]
    return [struct.pack(">I", 0x3F << 24 | len(row)) + row for row in rows]

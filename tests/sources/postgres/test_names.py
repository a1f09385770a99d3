"""What streams are called, and what patterns mean."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drtool.errors import UsageError
from drtool.sources.postgres import names
from drtool.sources.postgres.uri import redacted, shown

_IDENTIFIER = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)


@given(_IDENTIFIER, _IDENTIFIER, _IDENTIFIER)
def test_a_name_gives_back_its_database(database: str, schema: str, table: str) -> None:
    name = names.name(database, schema, table)
    assert names.split(name) == (database, names.name(schema, table))
    assert names.split(names.special(database, names.SEQUENCES)) == (database, names.SEQUENCES)


@given(_IDENTIFIER, _IDENTIFIER, _IDENTIFIER)
def test_a_copy_beside_has_a_name_that_postgresql_takes(database: str, schema: str, table: str) -> None:
    assume(len(database.encode()) <= names.MAX_NAME)
    made, rest = names.split(names.beside(names.name(database, schema, table), "restored_20260101_000000"))
    assert rest == names.name(schema, table)
    assert len(made.encode()) <= names.MAX_NAME
    assert made.endswith("_restored_20260101_000000")


@pytest.mark.parametrize("pattern", ["app", "app.public", "app.public.users", "app.*", "a?p.*.users", "*"])
def test_fits(pattern: str) -> None:
    assert names.matches("app.public.users", pattern)
    assert names.matches("app.$definitions", pattern)
    assert names.matches("app.$sequences", pattern)


@pytest.mark.parametrize("pattern", ["ap", "public", "app.users", "other.public.users", "app.$largeobjects"])
def test_does_not_fit(pattern: str) -> None:
    assert not names.matches("app.public.users", pattern)


def test_large_objects_are_no_table() -> None:
    assert names.matches("app.$largeobjects", "app")
    assert not names.matches("app.$largeobjects", "app.public.users")


@pytest.mark.parametrize("pattern", ["app.public.userz", "app.public", "a*.public.*"])
def test_definitions_go_along_with_what_somebody_named(pattern: str) -> None:
    assert names.goes_along("app.$definitions", pattern)
    assert names.goes_along("app.$sequences", pattern)
    assert not names.goes_along("app.public.users", pattern)


@pytest.mark.parametrize("pattern", ["app", "*", "app.*", "app.$definitions", '"app"'])
def test_definitions_are_meant_by_who_means_the_database(pattern: str) -> None:
    assert names.matches("app.$definitions", pattern) or pattern.startswith('"')
    assert not names.goes_along("app.$definitions", pattern)


def test_only_databases_are_renamed() -> None:
    assert names.rename("app.public.users", "app", "new") == "new.public.users"
    assert names.rename("app.public.users", "a*", "b*") == "bpp.public.users"
    assert names.rename("app.public.users", "app.public.users", "new.public.users") == "new.public.users"
    assert names.rename("app.public.users", "other", "new") is None
    with pytest.raises(UsageError):
        names.rename("app.public.users", "app.public.users", "app.public.people")


def test_nobody_gets_a_login_by_surprise() -> None:
    streams = {names.ROLES: "$roles_x", "app.public.users": "app_x.public.users"}
    assert names.ROLES in names.left_out(streams, [], None, elsewhere=False)
    assert names.ROLES in names.left_out(streams, [], False, elsewhere=True)
    assert not names.left_out(streams, [], None, elsewhere=True)
    assert not names.left_out(streams, [], True, elsewhere=False)
    assert not names.left_out(streams, [names.ROLES], None, elsewhere=False)


def test_addresses_are_shown_without_secrets() -> None:
    uri = "postgresql://me:s%C3%A9same@db1,db2/app?sslpassword=tr%26uc"
    assert shown(uri) == "postgresql://db1,db2/app"
    assert shown("postgresql://me@/app?host=%2Frun%2Fpg") == "postgresql:///run/pg/app"
    told = redacted("password sésame or s%C3%A9same\nfailed, tr&uc", uri)
    assert told == "password *** or *** failed, ***"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:12/sesame@db/app",
        "postgresql://me:12?sesame@db/app",
        "postgresql://me:12@sesame@db/app",
        "postgresql://db/app?password=sesame",
        "host=db user=me password=sesame",
        "host=db password='sesame'",
    ],
)
def test_a_password_that_should_have_been_encoded_is_not_shown(uri: str) -> None:
    assert "sesame" not in shown(uri)
    assert "12" not in shown(uri)
    assert "sesame" not in redacted("failed to resolve host 'sesame@db', or sesame", uri)

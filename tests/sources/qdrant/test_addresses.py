"""Addresses of a Qdrant, as the configuration and ``--to`` have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from drtool.config.source_types.qdrant import QdrantSettings
from drtool.errors import UsageError
from drtool.sources.qdrant.addresses import Address, Kind, parse


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("http://127.0.0.1:6333", Kind.SERVER, "http://127.0.0.1:6333"),
        ("https://q.example.org/below", Kind.SERVER, "https://q.example.org/below"),
        ("edge:/srv/a", Kind.EDGE, "/srv/a"),
        ("path:/srv/a:b", Kind.LOCAL, "/srv/a:b"),
        ("/srv/a", Kind.EDGE, "/srv/a"),
        ("/srv/c:d", Kind.EDGE, "/srv/c:d"),
    ],
)
def test_addresses(text: str, kind: Kind, where: str) -> None:
    found = parse(text, Kind.EDGE)
    assert (found.kind, found.where) == (kind, where)
    assert parse(found.shown, Kind.LOCAL) == found


@pytest.mark.parametrize("text", ["", "edge:", "http://", "https://key@host", "redis://host", "grpc://host"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text, Kind.EDGE)


def test_a_relative_directory_is_made_absolute() -> None:
    assert Path(parse("below", Kind.EDGE).where).is_absolute()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"url": "http://h", "path": "/a"},
        {"path": "/a", "edge": "/b"},
        {"edge": "/a", "api_key": "k"},
        {"path": "/a", "prefer_grpc": True},
        {"url": "ftp://h"},
        {"url": "http://user:secret-word@h"},
        {"edge": "/a", "collections": ["a/b"]},
        {"edge": "/a", "exclude": [""]},
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        QdrantSettings.model_validate({"type": "qdrant", **settings})
    assert all("secret-word" not in error["msg"] for error in caught.value.errors())


def test_an_address_does_not_show_its_key() -> None:
    assert "secret" not in repr(Address(Kind.SERVER, "http://h", "secret"))

"""What is compressed on the way from the server, and what is said when it does not answer."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from drtool.sources.mongodb import wire
from drtool.sources.mongodb.connection import connect
from drtool.sources.mongodb.server import Server
from tests.sources.contract import back_up
from tests.sources.mongo import Client, Document, source_of


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://db1.example.org/", "zstd"),
        ("mongodb://127.0.0.1:27017,db1.example.org:27017/?replicaSet=r", "zstd"),
        ("mongodb://user:pw@10.0.0.7:27017/app", "zstd"),
        ("mongodb://[2001:db8::1]:27017", "zstd"),
        ("mongodb+srv://cluster.example.org", "zstd"),
        ("mongodb://db1.example.org/?compressors=snappy", None),
        ("mongodb://db1.example.org/?Compressors=", None),
        ("mongodb://127.0.0.1", None),
        ("mongodb://u:p@127.0.0.2:1,[::1]:27017,localhost:3/?replicaSet=r", None),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock", None),
    ],
)
def test_only_other_hosts_are_asked_to_compress(uri: str, expected: str | None) -> None:
    assert wire.compressor(uri) == expected


def test_this_host_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "DB1")
    assert wire.compressor("mongodb://db1:27017") is None


def test_the_client_is_told() -> None:
    assert asked_for("mongodb://db.invalid/?connect=false") == ["zstd"]
    assert asked_for("mongodb://127.0.0.1:1/") == []


def asked_for(uri: str) -> list[str]:
    """What a connection to `uri` would offer the server."""
    with connect(uri) as client:
        settings = client.options.pool_options._compression_settings
    return [] if settings is None else list(settings.compressors)


def compressed(client: Client) -> dict[str, int]:
    """Bytes that the server has compressed so far, by algorithm."""
    found = client.admin.command("serverStatus")["network"]["compression"]
    return {name: found[name]["compressor"]["bytesIn"] for name in ("zstd", "zlib")}


def test_what_the_uri_asks_for_is_used(standalone: Server) -> None:
    """On a server to which the other tests never speak compressed."""
    with MongoClient[Document](standalone.uri) as client:
        client["wire"]["c"].insert_many([{"_id": number, "x": "x" * 1000} for number in range(1000)])
        try:
            for algorithm in ("zstd", "zlib"):
                before = compressed(client)
                copies = back_up(source_of(f"{standalone.uri}&compressors={algorithm}", "wire"))
                grown = {name: count - before[name] for name, count in compressed(client).items()}
                assert grown.pop(algorithm) >= len(copies["wire.c"].data)
                assert set(grown.values()) == {0}
            before = compressed(client)
            back_up(source_of(standalone.uri, "wire"))
            assert compressed(client) == before
        finally:
            client.drop_database("wire")


@pytest.mark.parametrize(
    ("problem", "uri", "expected"),
    [
        ("h:1: [Errno 111] Connection refused", "mongodb://h:1", "Is the server running"),
        ("h:1: connection closed", "mongodb://h:1", "tls=true"),
        ("h:1: connection closed", "mongodb+srv://h", "tlsCertificateKeyFile"),
        ("h:1: connection closed", "mongodb://h:1/?ssl=true", "client certificate: add"),
        ("h:1: connection closed", "mongodb://h/?tls=true&tlsCertificateKeyFile=f", "may not accept"),
        ("certificate verify failed: Hostname mismatch", "mongodb://h/?tls=true", "tlsCAFile"),
    ],
)
def test_hints(problem: str, uri: str, expected: str) -> None:
    assert expected in wire.hint(problem, uri)

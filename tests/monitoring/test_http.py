"""Requests to servers that hang, answer slowly, elsewhere, or nonsense."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from drtool.errors import NotificationError
from drtool.monitoring.http import Answer, request
from tests.monitoring.targets.providers import Reply
from tests.monitoring.targets.receiver import receiving


@contextlib.contextmanager
def _speaking(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does just this with its first connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secretsecretsecret"
        thread.join(10)


def test_one_that_hangs() -> None:
    over = threading.Event()

    def wait(_connection: socket.socket) -> None:
        over.wait(30)

    with _speaking(wait) as url:
        with pytest.raises(NotificationError, match=r"127\.0\.0\.1 did not answer within 0\.2 s") as caught:
            request(url, seconds=0.2)
        over.set()
    assert "secret" not in caught.value.message


def test_one_that_answers_a_byte_at_a_time() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            connection.sendall(b"x")

    with _speaking(drip) as url:
        with pytest.raises(NotificationError, match="did not answer within"):
            request(url, seconds=0.3)
        over.set()


@pytest.mark.parametrize("nonsense", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_nonsense(nonsense: bytes) -> None:
    with (
        _speaking(lambda connection: connection.sendall(nonsense)) as url,
        pytest.raises(NotificationError, match="cannot be reached") as caught,
    ):
        request(url)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("address", ["", "hooks.example.org/secret", "ftp://h/secret", "http://[secret", "https:///x"])
def test_what_is_no_address_is_not_quoted(address: str) -> None:
    with pytest.raises(NotificationError, match="the address is not one") as caught:
        request(address)
    assert "secret" not in caught.value.message


def test_what_cannot_be_sent_is_not_quoted() -> None:
    with receiving(lambda _request: Reply()) as receiver:
        for url, headers in ((receiver.url("/a b\nsecret"), {}), (receiver.url(), {"X": "secret\r\nY: z"})):
            with pytest.raises(NotificationError) as caught:
                request(url, headers=headers)
            assert "secret" not in caught.value.message
        assert not receiver.requests


def test_user_and_password_of_an_address() -> None:
    with receiving(lambda _request: Reply()) as receiver:
        request(receiver.url("/x").replace("//", "//user:p%40ss@"))
        (sent,) = receiver.requests
    assert sent.headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert "p%40ss" not in sent.headers["host"]


def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(lambda _request: Reply(204)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        monkeypatch.setenv("no_proxy", "intern.example.org")
        assert request("http://alerts.example.org/hook?a=1").status == 204
        (sent,) = proxy.requests
        assert sent.path == "http://alerts.example.org/hook?a=1"
        assert sent.headers["host"] == "alerts.example.org"


def test_not_through_a_proxy_to_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(lambda _request: Reply()) as proxy, receiving(lambda _request: Reply(201)) as receiver:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        assert request(receiver.url()).status == 201
        assert not proxy.requests


def test_a_tunnel_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    with _speaking(refuse) as proxy:
        monkeypatch.setenv("https_proxy", proxy.replace("http://", "http://me:pw@"))
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(NotificationError, match=r"alerts\.example\.org cannot be reached"):
            request("https://alerts.example.org/secret")
    assert asked[0].startswith(b"CONNECT alerts.example.org:443 ")
    assert b"Proxy-Authorization: Basic bWU6cHc=" in asked[0]
    assert b"secret" not in asked[0]


def test_retry_after_is_a_number_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert Answer(429, b"", {"retry-after": "30"}).retry_after == 30
    assert 90 < (Answer(429, b"", {"retry-after": later}).retry_after or 0) <= 100
    assert Answer(429, b"", {"retry-after": "soon"}).retry_after is None
    assert Answer(429, b"").retry_after is None

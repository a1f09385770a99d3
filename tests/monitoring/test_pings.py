"""Pings, to a server on loopback that answers as it should, otherwise, or not at all."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drtool.errors import NotificationError
from drtool.monitoring.pings import MOST_BYTES, Pinger, ping_address, run_uuid
from tests.monitoring.checks import Check, checking

RUN = "20261122t020000z-5f3a9c17e2"


@pytest.fixture
def check() -> Iterator[Check]:
    with checking() as found:
        yield found


def pinger(check: Check, path: str = "/secret-uuid", **changes: object) -> Pinger:
    """Waits for nothing between tries."""
    settings: dict[str, object] = {"wait": lambda _seconds: None, **changes}
    return Pinger(check.url + path, **settings)  # type: ignore[arg-type]


def test_a_run_that_succeeds_and_one_that_fails(check: Check) -> None:
    one = pinger(check)
    one.started(RUN)
    one.succeeded(RUN)
    one.failed(RUN, 11)
    one.failed(RUN, None)
    one.failed(RUN, -9)
    rid = f"?rid={run_uuid(RUN)}"
    assert [path for _, path, _ in check.pings] == [
        f"/secret-uuid/start{rid}",
        f"/secret-uuid{rid}",
        f"/secret-uuid/11{rid}",
        f"/secret-uuid/fail{rid}",
        f"/secret-uuid/fail{rid}",
    ]
    assert {(method, body) for method, _, body in check.pings} == {("POST", b"")}


def test_the_run_s_id_is_a_uuid_and_always_the_same() -> None:
    assert str(uuid.UUID(run_uuid(RUN))) == run_uuid(RUN) == run_uuid(RUN)
    assert run_uuid(RUN) != run_uuid(RUN + "x")


@pytest.mark.parametrize(
    ("url", "what", "address"),
    [
        ("https://hc-ping.com/uuid", "/start", "https://hc-ping.com/uuid/start?rid="),
        ("https://hc-ping.com/key/db-backup?create=1", "/3", "https://hc-ping.com/key/db-backup/3?create=1&rid="),
        ("https://h.example.org/uuid/#x", "", "https://h.example.org/uuid?rid="),
        ("https://user:pass@h.example.org:8443/uuid", "/fail", "https://user:pass@h.example.org:8443/uuid/fail?rid="),
        (" https://h.example.org/uuid\n", "", "https://h.example.org/uuid?rid="),
    ],
)
def test_every_kind_of_address(url: str, what: str, address: str) -> None:
    assert ping_address(url, what, RUN) == address + run_uuid(RUN)


@pytest.mark.parametrize("url", ["", "hc-ping.com/secret", "ftp://h/secret", "http://[secret", "file:///etc/secret"])
def test_what_is_no_address_is_not_quoted(url: str) -> None:
    with pytest.raises(NotificationError) as caught:
        Pinger(url).succeeded(RUN)
    assert "secret" not in caught.value.message


def test_text_is_cut_off(check: Check) -> None:
    pinger(check).failed(RUN, 1, "ä" * MOST_BYTES)
    assert len(check.pings[0][2]) == MOST_BYTES


def test_a_server_in_trouble_is_asked_again(check: Check) -> None:
    check.answers = [500, 429]
    pinger(check).succeeded(RUN)
    assert len(check.pings) == 3


def test_a_few_times_only(check: Check) -> None:
    check.answers = [503] * 10
    with pytest.raises(NotificationError, match=r"the ping to 127\.0\.0\.1 failed: it answered 503") as caught:
        pinger(check).succeeded(RUN)
    assert len(check.pings) == 3
    assert "secret" not in str(caught.value)


def test_one_that_does_not_know_the_check_is_not_asked_again(check: Check) -> None:
    check.answers = [404]
    with pytest.raises(NotificationError, match="it answered 404"):
        pinger(check).succeeded(RUN)
    assert len(check.pings) == 1


def test_a_server_that_says_nothing_is_left(check: Check) -> None:
    check.answers = [0]
    with pytest.raises(NotificationError, match="did not answer within") as caught:
        pinger(check, seconds=0.5).succeeded(RUN)
    assert "secret" not in str(caught.value)


def test_all_tries_together_are_bounded(check: Check) -> None:
    """By a clock on which a try takes five seconds."""
    check.answers = [500] * 10
    at = 0.0

    def monotonic() -> float:
        nonlocal at
        at += 5
        return at

    with pytest.raises(NotificationError):
        pinger(check, monotonic=monotonic).succeeded(RUN)
    assert len(check.pings) == 2


def test_nobody_there() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret"
        with pytest.raises(NotificationError, match="cannot be reached: Connection refused") as caught:
            Pinger(url, wait=lambda _seconds: None).succeeded(RUN)
    assert "/secret" not in str(caught.value)


def test_a_redirect_is_followed_and_one_in_a_circle_is_not(check: Check) -> None:
    check.answers, check.location = [307], "/elsewhere?rid=1"
    pinger(check).failed(RUN, 1, "text")
    assert check.pings[1] == ("POST", "/elsewhere?rid=1", b"text")
    check.answers = [302] * 10
    with pytest.raises(NotificationError, match="it answered 302"):
        pinger(check).succeeded(RUN)


def test_tls_with_an_authority_of_one_s_own(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    with checking(certificate=certificate) as check:
        pinger(check, ca_bundle=certificate[0]).succeeded(RUN)
        assert len(check.pings) == 1
        with pytest.raises(NotificationError, match="certificate"):
            pinger(check).succeeded(RUN)
        check.answers, check.location = [307], "http://127.0.0.1:1/in-the-clear"
        with pytest.raises(NotificationError, match="it answered 307"):
            pinger(check, ca_bundle=certificate[0]).succeeded(RUN)


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "check.pem", directory / "check.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths

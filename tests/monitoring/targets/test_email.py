"""E-mail, to a server with TLS and authentication."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Kind
from drtool.monitoring.targets.base import Target
from tests.monitoring.notices import condition, message, notice
from tests.monitoring.targets.mailbox import PASSWORD, USER, Mailbox, mail_server
from tests.monitoring.targets.test_delivering import made
from tests.servers.certificates import Issued, authority, issue

#: It does not see that TLS is there from the start.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture(scope="module")
def by(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module", params=["starttls", "implicit"])
def server(by: Issued, request: pytest.FixtureRequest) -> Iterator[tuple[str, Mailbox]]:
    certificate = issue(by.pem.parent, f"mail-{request.param}", by).pem
    with mail_server(certificate, implicit=request.param == "implicit") as mailbox:
        yield request.param, mailbox


def _email(mailbox: Mailbox, by: Issued, **settings: Any) -> Target:
    mailbox.mails.clear()
    mailbox.unknown = set()
    return made(
        "email",
        **{
            "host": "127.0.0.1",
            "port": mailbox.port,
            "user": USER,
            "password": PASSWORD,
            "from": "drtool@example.org",
            "to": ["oncall@example.org", "team@example.org"],
            "ca_bundle": by.pem,
            **settings,
        },
    )


def test_all_recipients_get_a_mail(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    assert _email(mailbox, by, tls=tls).deliver(message()) == ""
    ((recipients, mail),) = mailbox.mails
    assert recipients == ("oncall@example.org", "team@example.org")
    assert mail["Subject"] == "[drtool] CRITICAL: Backup of nightly failed: app: the server does not answer [db1]"
    assert mail["From"] == "drtool <drtool@example.org>"
    assert mail["Date"].datetime == message().at
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", "high")
    text = mail.get_content()
    assert "Is it running?" in text
    assert "Last good snapshot:  20260802T000003Z-1234" in text
    assert "Head:" in text


def test_mails_on_an_alert_are_a_thread(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    target = _email(mailbox, by, tls=tls)
    for kind in (Kind.OPEN, Kind.STILL, Kind.RECOVERED):
        target.deliver(message(notice(kind)))
    target.deliver(message(notice(of=condition("disk/state"))))
    first, *others, another = (mail for _, mail in mailbox.mails)
    assert all(mail["References"] == first["References"] == mail["In-Reply-To"] for mail in others)
    assert another["References"] != first["References"]
    assert len({mail["Message-ID"] for _, mail in mailbox.mails}) == 4


def test_a_title_cannot_add_a_header(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    job = "nightly\r\nBcc: thief@example.org\r\n\r\nHello " + "ä😀" * 300
    _email(mailbox, by, tls=tls).deliver(message(notice(of=condition(job=job))))
    ((recipients, mail),) = mailbox.mails
    assert "thief@example.org" not in recipients
    assert mail["Bcc"] is None


def test_a_refused_recipient_is_a_remark(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    target = _email(mailbox, by, tls=tls)
    mailbox.unknown = {"team@example.org"}
    assert target.deliver(message()) == "127.0.0.1 refused 1 of 2 recipients"
    ((recipients, _),) = mailbox.mails
    assert recipients == ("oncall@example.org",)
    mailbox.unknown = {"team@example.org", "oncall@example.org"}
    with pytest.raises(NotificationError, match=r"refused every recipient \(550\)"):
        target.deliver(message())


def test_a_wrong_password_is_not_quoted(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    with pytest.raises(NotificationError, match="does not accept user and password") as caught:
        _email(mailbox, by, tls=tls, password="hunter2hunter2").deliver(message())
    assert "hunter2" not in caught.value.message
    assert not mailbox.mails


def test_a_password_that_cannot_be_sent_is_said(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    with pytest.raises(NotificationError, match="characters that are not ASCII") as caught:
        _email(mailbox, by, tls=tls, password="gehüpft").deliver(message())
    assert "gehüpft" not in caught.value.message + caught.value.hint


def test_the_certificate_is_verified(server: tuple[str, Mailbox], by: Issued) -> None:
    tls, mailbox = server
    with pytest.raises(NotificationError, match="is not to be trusted"):
        _email(mailbox, by, tls=tls, ca_bundle=None).deliver(message())
    assert not mailbox.mails


def test_no_password_without_tls(by: Issued) -> None:
    with mail_server() as mailbox:
        with pytest.raises(NotificationError, match="offers no STARTTLS"):
            _email(mailbox, by).deliver(message())
        _email(mailbox, by, tls="none", user=None, password=None).deliver(message())
        assert len(mailbox.mails) == 1
        mailbox.busy = True
        with pytest.raises(NotificationError, match="answered 451"):
            _email(mailbox, by, tls="none", user=None, password=None).deliver(message())


def test_nobody_listens(by: Issued) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mailbox = Mailbox(free.getsockname()[1])
        with pytest.raises(NotificationError, match=r"127\.0\.0\.1 cannot be reached: Connection refused"):
            _email(mailbox, by).deliver(message())


def test_bad_certificates_are_named(tmp_path: Path, by: Issued) -> None:
    with pytest.raises(NotificationError, match="cannot read the certificates"):
        _email(Mailbox(1), by, ca_bundle=tmp_path / "none.pem").deliver(message())

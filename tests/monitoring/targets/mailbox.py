"""A mail server with TLS and authentication that keeps what it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

USER, PASSWORD = "drtool", "correct horse battery"


@dataclass
class Mailbox:
    """``mails`` with their recipients; addresses of ``unknown`` are refused."""

    port: int = 0
    mails: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    busy: bool = False

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """A recipient."""
        if address in self.unknown:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """A mail."""
        if self.busy:
            return "451 4.3.0 try again later"
        assert isinstance(envelope.content, bytes)
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        assert all(len(line) <= 998 for line in envelope.content.splitlines())  # RFC 5321, 4.5.3.1.6
        self.mails.append((tuple(envelope.rcpt_tos), parsed))
        return "250 OK"


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False)


@contextlib.contextmanager
def mail_server(certificate: Path | None = None, *, implicit: bool = False) -> Iterator[Mailbox]:
    """A server on loopback; with a certificate it offers STARTTLS, or wants TLS from the start, and authentication."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    mailbox = Mailbox()

    def protocol() -> SMTP:
        settings: dict[str, Any] = {"hostname": "mail.example.org", "loop": loop}
        if context is not None:
            settings |= {"authenticator": _authenticate, "auth_required": True, "auth_require_tls": not implicit}
        if context is not None and not implicit:
            settings |= {"tls_context": context, "require_starttls": True}
        return SMTP(mailbox, **settings)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0, ssl=context if implicit else None))
    mailbox.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

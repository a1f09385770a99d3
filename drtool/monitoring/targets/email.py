"""E-mail over SMTP: STARTTLS or TLS from the start, with authentication.

All mails on one alert belong to one thread: their ``References`` name the same message (RFC 5322, 3.6.4).
"""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from drtool.config.notify import EmailSettings
from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import clipped, plain, subject, worst
from drtool.monitoring.conditions import Severity
from drtool.monitoring.deadlines import cut_off
from drtool.monitoring.http import SECONDS, trust

_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
#: The library folds it, but nobody reads more than three lines of it.
_SUBJECT = 200


class Email:
    """Some people's mailboxes."""

    shown = 50
    separate = False

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Send it; a remark names how many recipients the server refused, as long as it took one."""
        settings = self._settings
        mail = written(message, settings)
        password = settings.password.reveal() if settings.password is not None else ""
        with _explained(settings.host), _connected(settings) as server:
            if settings.user is not None:
                server.login(settings.user, password)
            refused = server.send_message(mail, settings.sender, list(settings.to))
        return f"{settings.host} refused {len(refused)} of {len(settings.to)} recipients" if refused else ""

    def reach(self) -> str:
        """Log in, send nothing; the server's name. ``NotificationError`` as for `deliver`."""
        settings = self._settings
        password = settings.password.reveal() if settings.password is not None else ""
        with _explained(settings.host), _connected(settings) as server:
            server.ehlo_or_helo_if_needed()
            if settings.user is not None:
                server.login(settings.user, password)
        return settings.host


def written(message: Message, settings: EmailSettings) -> EmailMessage:
    """The mail."""
    mail = EmailMessage()
    domain = settings.sender.rpartition("@")[2]
    mail["From"] = Address("drtool", addr_spec=settings.sender)
    mail["To"] = [Address(addr_spec=address) for address in settings.to]
    mail["Subject"] = clipped(f"[drtool] {subject(message)}", _SUBJECT)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = make_msgid("drtool", domain)
    roots = [_root(notice, message.host, domain) for notice in message.notices]
    mail["In-Reply-To"] = roots[0]
    mail["References"] = " ".join(roots)
    mail["Auto-Submitted"] = "auto-generated"
    if worst(message) is Severity.CRITICAL:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    mail.set_content(plain(message))
    return mail


def _root(notice: Notice, host: str, domain: str) -> str:
    """What all mails on an alert refer to, from its beginning to its end."""
    identity = f"{host}\0{notice.condition.key}\0{notice.opened.isoformat()}"
    return f"<{hashlib.sha256(identity.encode()).hexdigest()[:32]}.drtool@{domain}>"


@contextmanager
def _connected(settings: EmailSettings) -> Iterator[smtplib.SMTP]:
    port = settings.port or _PORTS[settings.tls]
    context = trust(settings.ca_bundle)
    # Not the fully qualified name, which takes a look-up.
    name = socket.gethostname()
    server: smtplib.SMTP
    if settings.tls == "implicit":
        server = smtplib.SMTP_SSL(settings.host, port, timeout=SECONDS, local_hostname=name, context=context)
    else:
        server = smtplib.SMTP(settings.host, port, timeout=SECONDS, local_hostname=name)
    with closing(server), cut_off(SECONDS, lambda: server.sock):
        if settings.tls == "starttls":
            server.starttls(context=context)
        yield server
        server.quit()


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """What goes wrong, without what the server says of it: it may quote what it was sent."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise NotificationError(f"{host} does not accept user and password ({error.smtp_code})") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = ", ".join(sorted({str(code) for code, _ in error.recipients.values()}))
        raise NotificationError(f"{host} refused every recipient ({codes})") from None
    except smtplib.SMTPNotSupportedError:
        raise NotificationError(
            f"{host} offers no STARTTLS, or no way to log in", hint="Port 465 wants tls: implicit."
        ) from None
    except smtplib.SMTPResponseException as error:
        raise NotificationError(f"{host} answered {error.smtp_code}") from None
    except ssl.SSLCertVerificationError as error:
        raise NotificationError(f"the certificate of {host} is not to be trusted: {error.verify_message}") from None
    except UnicodeError:
        raise NotificationError(
            f"cannot log in to {host}: user or password holds characters that are not ASCII",
            hint="Mail servers take them in different encodings: choose a password without them.",
        ) from None
    except TimeoutError:
        raise NotificationError(f"{host} did not answer within {SECONDS:g} s") from None
    except (OSError, smtplib.SMTPException) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise NotificationError(f"{host} cannot be reached: {said}") from None

"""One HTTP request to somebody else's service: bounded in time, TLS verified, no redirect followed.

The address is taken for a secret (whoever knows a chat's webhook can write there), and so is what is sent: neither is
in an error, which names the host only.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from drtool import __version__
from drtool.errors import NotificationError
from drtool.monitoring.deadlines import cut_off

SECONDS = 10.0
"""How long a request may take, from the connection to the end of the answer."""

_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``body`` is cut off after 64 KiB, and the names of ``headers`` are in small letters."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Was it taken?"""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """How many seconds the service asks to wait: a number, or a date (RFC 9110, 10.2.3)."""
        value = self.headers.get("retry-after", "").strip()
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def request(
    url: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    ca_bundle: Path | None = None,
    seconds: float = SECONDS,
) -> Answer:
    """Send a request and return whatever was answered.

    It goes through the proxy that the environment names (``https_proxy``, ``no_proxy``); a user and a password in the
    address become basic authentication. ``NotificationError`` where there is no answer within `seconds`.
    """
    parts = _parsed(url)
    sent = {"User-Agent": f"drtool/{__version__}", "Connection": "close", **(headers or {})}
    if parts.username is not None:
        sent.setdefault("Authorization", basic(unquote(parts.username), unquote(parts.password or "")))
    connection, path = _connection(parts, ca_bundle, seconds)
    late = NotificationError(f"{parts.hostname} did not answer within {seconds:g} s")
    with closing(connection), cut_off(seconds, lambda: connection.sock) as deadline:
        try:
            connection.request(method, path, body, sent)
            with connection.getresponse() as answer:
                taken = answer.read(_ANSWER_BYTES)
        except TimeoutError:
            raise late from None
        except ssl.SSLCertVerificationError as error:
            raise NotificationError(
                f"the certificate of {parts.hostname} is not to be trusted: {error.verify_message}",
                hint="Name the certificates to trust with ca_bundle, where the service has an authority of its own.",
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # What the library says of a request that it cannot send holds the request.
            said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise (
                late if deadline.passed else NotificationError(f"{parts.hostname} cannot be reached: {said}")
            ) from None
    if deadline.passed:  # what was read then may be half an answer
        raise late
    return Answer(answer.status, taken, {name.lower(): value for name, value in answer.getheaders()})


def is_private(url: str) -> bool:
    """Can nobody on the way read what is sent there: TLS, or this very host?"""
    parts = _parsed(url)
    return parts.scheme == "https" or _is_this_host(parts.hostname or "")


def basic(user: str, password: str) -> str:
    """The value of ``Authorization`` for a user and a password."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotificationError("the address is not one: it must begin with https:// or http://, with a host after it")
    return parts


def _is_this_host(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _connection(parts: SplitResult, ca_bundle: Path | None, seconds: float) -> tuple[http.client.HTTPConnection, str]:
    """The connection, not opened yet, and the path to ask it for."""
    host, port = parts.hostname or "", parts.port
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    proxy = _proxy_for(parts)
    if parts.scheme == "http":
        if proxy is None:
            return http.client.HTTPConnection(host, port, timeout=seconds), path
        plain = http.client.HTTPConnection(proxy.hostname or "", proxy.port, timeout=seconds)
        return plain, f"http://{parts.netloc.rpartition('@')[2]}{path}"
    trusted = trust(ca_bundle)
    if proxy is None:
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=trusted), path
    tunnel = http.client.HTTPSConnection(proxy.hostname or "", proxy.port, timeout=seconds, context=trusted)
    who = proxy.username
    tunnel.set_tunnel(
        host, port, {"Proxy-Authorization": basic(unquote(who), unquote(proxy.password or ""))} if who else None
    )
    return tunnel, path


def _proxy_for(parts: SplitResult) -> SplitResult | None:
    host = parts.hostname or ""
    named = urllib.request.getproxies().get(parts.scheme)
    if not named or _is_this_host(host) or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def trust(ca_bundle: Path | None) -> ssl.SSLContext:
    """Whom to trust: this host's certificate authorities, and those of a file. ``NotificationError`` for a bad file."""
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise NotificationError(f"cannot read the certificates {ca_bundle}: {error.strerror or error}") from None
    return context

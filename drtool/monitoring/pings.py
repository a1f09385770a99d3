"""Pings to a dead man's switch, by the conventions of Healthchecks (https://healthchecks.io/docs/http_api/).

The check's address is pinged when a run begins (``/start``), when it succeeded, and when it failed (``/EXITCODE``, or
``/fail`` where there is none), each with the run's id (``?rid=``), which pairs the start with the end.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from drtool.errors import NotificationError
from drtool.monitoring.http import Answer, request

#: At most so much text goes with a ping; Healthchecks keeps 100 kB.
MOST_BYTES = 10_000
#: How long (seconds) one try may take, and all of them together.
TRY_SECONDS, ALL_SECONDS = 10.0, 20.0
_PAUSES = (1.0, 3.0)
_REDIRECTS = 3
_LARGEST_EXIT_CODE = 255
_NAMESPACE = uuid.UUID("6c1f3b1e-9d0a-5c0e-8f0e-4d1b0f6b7a55")


@dataclass(frozen=True, slots=True)
class Pinger:
    """Pings one check. Every call may raise ``NotificationError``, which names the host only: the address is a secret.

    ``seconds`` bounds a call with all its tries. `wait` and `monotonic` are for tests.
    """

    url: str
    ca_bundle: Path | None = None
    seconds: float = ALL_SECONDS
    wait: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def started(self, run: str) -> None:
        """A run of this id begins."""
        self._send("/start", run, b"")

    def succeeded(self, run: str) -> None:
        """It did what it should."""
        self._send("", run, b"")

    def failed(self, run: str, exit_code: int | None, text: str = "") -> None:
        """It did not; `text` (no secrets in it) is sent along, cut off after 10 kB."""
        is_code = exit_code is not None and 0 < exit_code <= _LARGEST_EXIT_CODE
        self._send(f"/{exit_code}" if is_code else "/fail", run, text.encode("utf-8", "replace")[:MOST_BYTES])

    def _send(self, what: str, run: str, body: bytes) -> None:
        until = self.monotonic() + self.seconds
        address = ping_address(self.url, what, run)
        host = urlsplit(address).hostname
        pauses = list(_PAUSES)
        while True:
            problem, is_final = self._try(address, body, until)
            if not problem:
                return
            if is_final or not pauses or self.monotonic() + pauses[0] >= until:
                raise NotificationError(f"the ping to {host} failed: {problem}")
            self.wait(pauses.pop(0))

    def _try(self, address: str, body: bytes, until: float) -> tuple[str, bool]:
        """What was wrong, empty for nothing, and whether it is no use to try again."""
        try:
            answer = self._request(address, body, until)
        except NotificationError as error:
            return error.message, False
        if answer.ok:
            return "", True
        return f"it answered {answer.status}", answer.status not in (408, 425, 429) and answer.status < 500

    def _request(self, address: str, body: bytes, until: float) -> Answer:
        for _ in range(_REDIRECTS):
            left = max(0.1, min(TRY_SECONDS, until - self.monotonic()))
            answer = request(address, body, ca_bundle=self.ca_bundle, seconds=left)
            further = _further(address, answer)
            if further is None:
                break
            address = further
        return answer


def ping_address(url: str, what: str, run: str) -> str:
    """The check's address with `what` added to its path and the run's id to its query.

    Both kinds of address: ``https://hc-ping.com/UUID`` and ``https://hc-ping.com/KEY/NAME?create=1``.
    ``NotificationError`` where it is no address.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotificationError("the address of the ping is none: it must begin with https:// or http://")
    query = "&".join(filter(None, (parts.query, urlencode({"rid": run_uuid(run)}))))
    return parts._replace(path=parts.path.rstrip("/") + what, query=query, fragment="").geturl()


def run_uuid(run: str) -> str:
    """The run's id as the UUID that the services want: always the same for the same run (RFC 9562, version 5)."""
    return str(uuid.uuid5(_NAMESPACE, run))


def _further(address: str, answer: Answer) -> str | None:
    """Where a redirect leads, unless it is one from TLS to none."""
    location = answer.headers.get("location", "")
    if answer.status not in (301, 302, 303, 307, 308) or not location:
        return None
    target = urljoin(address, location)
    is_worse = urlsplit(address).scheme == "https" and urlsplit(target).scheme != "https"
    return None if is_worse else target

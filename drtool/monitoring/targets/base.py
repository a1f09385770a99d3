"""What every target does, and what those have in common that are spoken to over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from drtool.config.masking import mask
from drtool.config.secrets import Secret
from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Message
from drtool.monitoring.http import Answer, is_private, request

_SAID = 200


class Target(Protocol):
    """Where messages go. ``shown`` is how many notices one message has room for; the others are only counted, or, where
    ``separate`` is true, are messages of their own.
    """

    shown: int
    separate: bool

    def deliver(self, message: Message) -> str:
        """Send it, and return only when it has been taken: a remark on what is not as it should be, or nothing.

        Takes seconds at most. ``NotificationError``, which names no secret, where it was not taken.
        """


def post_json(
    url: Secret,
    content: Any,
    *,
    ca_bundle: Path | None = None,
    headers: Mapping[str, str] | None = None,
    in_the_clear: bool = False,
) -> Answer:
    """Post JSON and return the answer, which was not a refusal. An address over plain http is refused, but on this very
    host or where `in_the_clear` allows it: whoever reads it on the way could write there."""
    address = url.reveal()
    if not in_the_clear and not is_private(address):
        raise NotificationError(f"{url.key}: the address is a secret, and must begin with https://")
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    sent = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return taken(address, request(address, body, headers=sent, ca_bundle=ca_bundle))


def taken(address: str, answer: Answer) -> Answer:
    """The answer, unless it is a refusal: ``NotificationError``."""
    if answer.ok:
        return answer
    host = urlsplit(address).hostname
    if 300 <= answer.status < 400:
        raise NotificationError(
            f"{host} answered {answer.status}, and redirects are not followed: they could lead the secret elsewhere",
            hint="Configure the address that it leads to.",
        )
    reason = said(answer)
    raise NotificationError(
        f"{host} answered {answer.status}{': ' if reason else ''}{reason}", retry_after=answer.retry_after
    )


def said(answer: Answer) -> str:
    """The reason in an answer, in few words: what services put into JSON, or one word of plain text."""
    text = answer.body.decode("utf-8", "replace").strip()
    try:
        content = json.loads(text)
    except ValueError:
        return text if re.fullmatch(r"[a-z_]{2,60}", text) else ""
    if not isinstance(content, dict):
        return ""
    found = [str(content[name]) for name in ("error", "message", "detail", "errors") if content.get(name)]
    return mask("; ".join(found))[:_SAID]

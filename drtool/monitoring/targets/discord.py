"""Discord's webhooks.

Limits as published: 2,000 characters of content, 10 embeds, in each 256 of title, 4,096 of description and 25 fields of
256 and 1,024; 6,000 in all embeds of a message together. With ``wait=true`` the answer comes after the message was
stored: without it, one that is not is no error.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from drtool.config.notify import DiscordSettings
from drtool.config.secrets import Secret
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import and_more, body, clipped, facts, headline, subject
from drtool.monitoring.conditions import Severity
from drtool.monitoring.targets.base import post_json

_CONTENT, _TITLE, _DESCRIPTION, _NAME, _VALUE, _FIELDS, _ALL = 2000, 250, 3000, 100, 300, 12, 5900
_GREEN = 0x2ECC71
_COLOURS = {Severity.CRITICAL: 0xE01E5A, Severity.WARNING: 0xECB22E, Severity.INFO: 0x3498DB}


class Discord:
    """A channel."""

    shown = 10
    separate = False

    def __init__(self, settings: DiscordSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Post it, and wait until it is stored."""
        url = self._settings.url
        post_json(Secret.of(_waiting(url.reveal()), key=url.key), payload(message), ca_bundle=self._settings.ca_bundle)
        return ""


def payload(message: Message) -> dict[str, Any]:
    """What is posted. Nothing in it calls anybody by name."""
    room = _ALL // len(message.notices)
    lines = [subject(message), and_more(message)] if message.more else [subject(message)]
    return {
        "content": clipped(_plain("\n".join(lines)), _CONTENT),
        "embeds": [_embed(notice, message, room) for notice in message.notices],
        "allowed_mentions": {"parse": []},
    }


def _embed(notice: Notice, message: Message, room: int) -> dict[str, Any]:
    """At most `room` characters: the text before the facts, the first facts before the last."""
    title = clipped(_plain(headline(notice)), min(_TITLE, room // 3))
    text = clipped(_plain(body(notice)), min(_DESCRIPTION, room // 3))
    room -= _length(title) + _length(text)
    fields = []
    for name, value in list(facts(notice, message))[:_FIELDS]:
        field = {"name": clipped(name, _NAME), "value": clipped(_plain(value), _VALUE), "inline": True}
        room -= _length(str(field["name"])) + _length(str(field["value"]))
        if room < 0:
            break
        fields.append(field)
    colour = _COLOURS[notice.condition.severity] if notice.lasts else _GREEN
    return {
        "title": title,
        "description": text,
        "color": colour,
        "fields": fields,
        "timestamp": message.at.isoformat(),
    }


def _waiting(url: str) -> str:
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query) if pair[0] != "wait"]
    return parts._replace(query=urlencode([*query, ("wait", "true")])).geturl()


def _plain(text: str) -> str:
    """`text` in which nothing is markup."""
    return re.sub(r"([\\*_~`|>\[\]])", r"\\\1", text)


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2

"""Slack's incoming webhooks, with Block Kit.

Limits as published: 50 blocks; 150 characters in a header, 3,000 in a section, 2,000 in each of its at most 10 fields;
``text``, what notifications and screen readers show, is cut off after 40,000 and should have at most 4,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drtool.config.notify import SlackSettings
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import and_more, body, clipped, facts, headline, subject
from drtool.monitoring.targets.base import post_json

_HEADER, _SECTION, _FIELD, _FIELDS, _TEXT = 150, 3000, 2000, 10, 3000


class Slack:
    """A channel."""

    shown = 10
    separate = False

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Post it."""
        post_json(self._settings.url, payload(message), ca_bundle=self._settings.ca_bundle)
        return ""


def payload(message: Message) -> dict[str, Any]:
    """What is posted."""
    return {"text": _escaped(subject(message), _TEXT), "blocks": list(_blocks(message))}


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    header = clipped(subject(message), _HEADER)
    yield {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}}
    for notice in message.notices:
        yield {"type": "section", "text": {"type": "mrkdwn", "text": _section(notice)}}
        told = list(facts(notice, message))[:_FIELDS]
        fields = [{"type": "mrkdwn", "text": f"*{name}*\n{_escaped(value, _FIELD - 100)}"} for name, value in told]
        yield {"type": "section", "fields": fields}
        yield {"type": "divider"}
    if message.more:
        yield {"type": "context", "elements": [{"type": "mrkdwn", "text": and_more(message)}]}


def _section(notice: Notice) -> str:
    title = _escaped(headline(notice), _SECTION // 3)
    return f"*{title}*\n{_escaped(body(notice), _SECTION // 2)}"


def _escaped(text: str, most: int) -> str:
    """Nothing in it calls a channel or a person, or becomes a link; `most` counts what is sent."""
    for length in (most, most // 2, most // 5):
        escaped = clipped(text, length).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if len(escaped.encode("utf-16-le", "replace")) <= 2 * most:
            return escaped
    raise AssertionError("an escape is at most five characters")

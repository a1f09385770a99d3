"""Microsoft Teams: the trigger "when a Teams webhook request is received" of the Workflows app.

It takes a message with an Adaptive Card, of the schema's version 1.4 at most. Teams refuses messages over 28 KB, and
after the request was taken: the limit kept here leaves room for what Workflows adds, a fifth and more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from drtool.config.notify import TeamsSettings
from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import and_more, body, clipped, facts, headline, subject
from drtool.monitoring.conditions import Severity
from drtool.monitoring.targets.base import post_json

MOST_BYTES = 18_000
_TITLE, _TEXT, _VALUE, _FACTS = 300, 1200, 300, 12
_STYLES = {Severity.CRITICAL: "attention", Severity.WARNING: "warning", Severity.INFO: "accent"}


class Teams:
    """A channel or a chat."""

    shown = 8
    separate = False

    def __init__(self, settings: TeamsSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Post it."""
        answer = post_json(self._settings.url, payload(message), ca_bundle=self._settings.ca_bundle)
        if b"failed with error" in answer.body:  # which comes with 200
            raise NotificationError("Teams took the request, and failed to deliver the message")
        return ""


def payload(message: Message) -> dict[str, Any]:
    """What is posted: as many notices as there is room for."""
    while True:
        content = _payload(message)
        size = len(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
        if size <= MOST_BYTES or len(message.notices) == 1:
            return content
        message = replace(message, notices=message.notices[:-1], more=message.more + 1)


def _payload(message: Message) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": clipped(subject(message), _TITLE),
        "msteams": {"width": "Full"},
        "body": list(_body(message)),
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _body(message: Message) -> Iterator[dict[str, Any]]:
    for notice in message.notices:
        yield {
            "type": "Container",
            "separator": True,
            "style": _STYLES[notice.condition.severity] if notice.lasts else "good",
            "items": [_text(headline(notice), _TITLE, weight="Bolder", size="Medium")],
        }
        if text := body(notice):
            yield _text(text, _TEXT)
        yield {"type": "FactSet", "facts": _facts(notice, message)}
    if message.more:
        yield _text(and_more(message), _TITLE)


def _text(text: str, most: int, **style: str) -> dict[str, Any]:
    """Text in which nothing is markup, unlike in a TextBlock."""
    run = {"type": "TextRun", "text": clipped(text, most), **style}
    return {"type": "RichTextBlock", "inlines": [run]}


def _facts(notice: Notice, message: Message) -> list[dict[str, str]]:
    told = list(facts(notice, message))[:_FACTS]
    return [{"title": name, "value": clipped(value, _VALUE)} for name, value in told]

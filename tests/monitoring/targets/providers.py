"""What the services accept, as they have published it: each returns what is wrong with a request, and its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class Request:
    """As it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Provider(Protocol):
    """Decides about a request."""

    def __call__(self, request: Request) -> Reply:
        """What the service answers."""


def slack(request: Request) -> Reply:
    """Incoming webhooks: https://docs.slack.dev/reference/block-kit/blocks"""
    content = request.json
    if not content.get("text") or _units(content["text"]) > 4000:
        return Reply(400, b"no_text")
    blocks = content["blocks"]
    if not 1 <= len(blocks) <= 50 or any(list(_wrong_block(block)) for block in blocks):
        return Reply(400, b"invalid_blocks")
    return Reply(200, b"ok")


def _wrong_block(block: Any) -> Iterator[str]:
    match block["type"]:
        case "header":
            if block["text"]["type"] != "plain_text" or not 1 <= _units(block["text"]["text"]) <= 150:
                yield "header"
        case "section":
            texts, fields = block.get("text"), block.get("fields", ())
            if texts is None and not fields:
                yield "empty section"
            if texts is not None and not 1 <= _units(texts["text"]) <= 3000:
                yield "section"
            if len(fields) > 10 or any(not 1 <= _units(field["text"]) <= 2000 for field in fields):
                yield "fields"
            for text in [*([texts] if texts else []), *fields]:
                if re.search(r"<(?!https?:)|&(?!amp;|lt;|gt;)", text["text"]):
                    yield "control sequence"
        case "context":
            if not 1 <= len(block["elements"]) <= 10:
                yield "context"
        case "divider":
            pass
        case other:
            yield other


def discord(request: Request) -> Reply:
    """Webhooks: https://discord.com/developers/docs/resources/webhook#execute-webhook"""
    content = request.json
    embeds = content.get("embeds", [])
    whole = sum(_units(text) for embed in embeds for text in _embed_texts(embed))
    wrong = _units(content.get("content", "")) > 2000 or len(embeds) > 10 or whole > 6000
    wrong = wrong or not (content.get("content") or embeds) or content["allowed_mentions"] != {"parse": []}
    for embed in embeds:
        wrong = wrong or _units(embed["title"]) > 256 or _units(embed["description"]) > 4096
        fields = embed.get("fields", ())
        wrong = wrong or len(fields) > 25 or not 0 <= embed["color"] <= 0xFFFFFF
        wrong = wrong or any(
            not 1 <= _units(field["name"]) <= 256 or not 1 <= _units(field["value"]) <= 1024 for field in fields
        )
        datetime.fromisoformat(embed["timestamp"])
    if wrong:
        return Reply(400, json.dumps({"code": 50035, "message": "Invalid Form Body"}).encode())
    if "wait=true" not in request.path.partition("?")[2].split("&"):
        return Reply(204)
    return Reply(200, json.dumps({"id": "1", "type": 0}).encode())


def _embed_texts(embed: Any) -> Iterator[str]:
    yield from (embed["title"], embed["description"])
    for field in embed.get("fields", ()):
        yield from (field["name"], field["value"])


def teams(request: Request) -> Reply:
    """Workflows: an Adaptive Card of version 1.4 at most; what it makes of it must not exceed 28 KB."""
    content = request.json
    (attachment,) = content["attachments"]
    card = attachment["content"]
    good = content["type"] == "message" and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    good = good and card["type"] == "AdaptiveCard" and card["version"] in ("1.0", "1.1", "1.2", "1.3", "1.4")
    good = good and all(not list(_wrong_element(element)) for element in card["body"])
    if not good:
        return Reply(400, b'{"error": {"code": "BadRequest"}}')
    # 24,453 bytes were seen to become 28,897 (MicrosoftDocs/msteams-docs#11274).
    if len(request.body) * 28_897 / 24_453 > 28_672:
        return Reply(413)
    return Reply(202)


def _wrong_element(element: Any) -> Iterator[str]:
    match element["type"]:
        case "Container":
            if element["style"] not in ("default", "emphasis", "good", "attention", "warning", "accent"):
                yield "style"
            for item in element["items"]:
                yield from _wrong_element(item)
        case "RichTextBlock":
            if not element["inlines"] or any(not run["text"] or run["type"] != "TextRun" for run in element["inlines"]):
                yield "inlines"
        case "FactSet":
            if not element["facts"] or any(not fact["title"] or "value" not in fact for fact in element["facts"]):
                yield "facts"
        case other:
            yield other


def pagerduty(request: Request) -> Reply:
    """Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview"""
    event = request.json
    errors = []
    if len(request.body) > 512 * 1024:
        return Reply(413)
    if len(event.get("routing_key", "")) != 32:
        errors.append("routing_key is invalid")
    if event["event_action"] not in ("trigger", "acknowledge", "resolve"):
        errors.append("event_action")
    if not 1 <= len(event.get("dedup_key", "")) <= 255:
        errors.append("dedup_key")
    if event["event_action"] == "trigger":
        payload = event["payload"]
        if not 1 <= _units(payload["summary"]) <= 1024 or not payload["source"]:
            errors.append("summary is too long (maximum is 1024 characters)")
        if payload["severity"] not in ("critical", "error", "warning", "info"):
            errors.append("severity")
        datetime.fromisoformat(payload["timestamp"])
    if errors:
        said = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        return Reply(400, json.dumps(said).encode())
    said = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
    return Reply(202, json.dumps(said).encode())


def alertmanager(request: Request) -> Reply:
    """The webhook of version 4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
    content = request.json
    texts = ("version", "groupKey", "status", "receiver", "externalURL")
    good = content["version"] == "4" and all(isinstance(content[name], str) for name in texts)
    good = good and isinstance(content["truncatedAlerts"], int) and bool(content["alerts"])
    good = good and content["status"] == _status(content["alerts"])
    for alert in content["alerts"]:
        good = good and alert["status"] in ("firing", "resolved")
        good = good and bool(re.fullmatch(r"[0-9a-f]{16}", alert["fingerprint"]))
        for labels in (alert["labels"], alert["annotations"]):
            good = good and all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in labels)
            good = good and all(isinstance(value, str) for value in labels.values())
        begins, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
        good = good and (ends.year == 1 if alert["status"] == "firing" else ends >= begins)
        common = content["commonLabels"].items() | content["groupLabels"].items()
        good = good and common <= alert["labels"].items()
    return Reply(200 if good else 400)


def _status(alerts: Any) -> str:
    return "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2

"""Messages in words: for somebody who is woken by them and knows nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from drtool.monitoring.alerting.messages import Kind, Message, Notice
from drtool.monitoring.conditions import Severity


def clipped(text: str, most: int) -> str:
    """`text`, cut off where it is longer than `most` UTF-16 units: what chats count, and never less than characters."""
    units = text.encode("utf-16-le", "replace")
    if len(units) <= 2 * most:
        return text
    kept = units[: 2 * (most - 1)].decode("utf-16-le", "ignore")
    return f"{kept.rstrip()}…"


def one_line(text: str) -> str:
    """`text` without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def label(notice: Notice) -> str:
    """The word in front: how bad it is, or what became of it."""
    match notice.kind:
        case Kind.OPEN | Kind.STILL | Kind.EVENT:
            return notice.condition.severity.label.upper()
    return notice.kind.upper()


def headline(notice: Notice) -> str:
    """``CRITICAL: the backup of nightly failed``, on one line."""
    return one_line(f"{label(notice)}: {notice.condition.title}")


def subject(message: Message) -> str:
    """The whole message on one line."""
    first = message.notices[0]
    others = len(message.notices) - 1 + message.more
    more = f" (and {others} more)" if others else ""
    return f"{headline(first)}{more} [{message.host}]"


def body(notice: Notice) -> str:
    """What it means and what to do; of what recovered, for how long it lasted."""
    match notice.kind:
        case Kind.RECOVERED:
            return f"It is over, after {duration((notice.ended or notice.opened) - notice.condition.since)}."
        case Kind.ACKNOWLEDGED:
            return f"{notice.who} sees to it."
    return notice.condition.text


def facts(notice: Notice, message: Message) -> Iterator[tuple[str, str]]:
    """Names and values, none of them empty, each on one line; the most important first."""
    for name, value in _facts(notice, message):
        if told := one_line(value):
            yield name, told


def _facts(notice: Notice, message: Message) -> Iterator[tuple[str, str]]:
    condition = notice.condition
    if notice.kind not in (Kind.EVENT, Kind.TEST):
        yield "Since", f"{moment(condition.since)} ({duration(message.at - condition.since)} ago)"
    if notice.ended is not None:
        yield "Until", moment(notice.ended)
    yield from (("Host", message.host), ("Job", condition.job), ("Run", condition.run))
    yield from condition.facts.items()


def plain(message: Message) -> str:
    """The whole message as text, for e-mail."""
    parts = []
    for notice in message.notices:
        lines = [headline(notice), "", body(notice), ""]
        lines += [f"  {name + ':':20} {value}" for name, value in facts(notice, message)]
        lines += [f"  {'Alert:':20} {notice.condition.key}"]
        parts.append("\n".join(lines))
    text = "\n\n".join(parts)
    return f"{text}\n\n{and_more(message)}\n" if message.more else f"{text}\n"


def and_more(message: Message) -> str:
    """The sentence on what there was no room for."""
    return f"… and {message.more} more: drtool status shows everything."


def worst(message: Message) -> Severity | None:
    """The severity of the worst that lasts; None where all recovered."""
    return max((notice.condition.severity for notice in message.notices if notice.lasts), default=None)


def moment(time: datetime) -> str:
    """``2026-08-01 02:00 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def duration(span: timedelta) -> str:
    """Roughly how long, for people: ``40 s``, ``12 min``, ``3 h 20 min``, ``5 days``."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"

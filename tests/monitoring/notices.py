"""Notices and messages for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from drtool.monitoring.alerting.messages import Kind, Message, Notice
from drtool.monitoring.conditions import Condition, Severity

AT = datetime(2026, 8, 3, 2, 10, tzinfo=UTC)


def condition(
    key: str = "failed/backup/nightly", severity: Severity = Severity.CRITICAL, job: str = "nightly"
) -> Condition:
    """A backup that failed."""
    return Condition(
        key,
        severity,
        f"Backup of {job} failed: app: the server does not answer",
        "Is it running? What changes from here on could not be brought back.",
        AT - timedelta(minutes=8),
        job,
        "20260803T020001Z-0badcafe",
        {
            "Next run": "2026-08-04 00:00 UTC",
            "Last good snapshot": "20260802T000003Z-1234 (1 day old)",
            "Head": "ab" * 32,
        },
    )


def notice(kind: Kind = Kind.OPEN, of: Condition | None = None) -> Notice:
    """A notice about it."""
    ended = AT if kind is Kind.RECOVERED else None
    return Notice(
        kind, of or condition(), AT - timedelta(minutes=5), ended, "alice" if kind is Kind.ACKNOWLEDGED else ""
    )


def message(*notices: Notice, more: int = 0) -> Message:
    """A message of them."""
    return Message(notices or (notice(),), "db1", AT, more)


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["<!channel> & <@U1>", "*" * 5000, "😀" * 3000, "&" * 4000, "a" * 9000, "@everyone [x](http://x)", '"\\' * 3000]
)
_conditions = st.builds(
    Condition,
    key=st.from_regex(r"[a-z]{1,12}/[a-z0-9_-]{1,30}", fullmatch=True),
    severity=st.sampled_from(Severity),
    title=_text.map(lambda text: "Backup failed: " + text),
    text=_text,
    since=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda time: time.replace(tzinfo=UTC)),
    job=st.sampled_from(["", "nightly"]),
    run=st.sampled_from(["", "20260803T020001Z-0badcafe"]),
    facts=st.dictionaries(st.from_regex(r"[A-Z][a-z]{1,20}( [a-z]{1,10})?", fullmatch=True), _text, max_size=6),
)


@st.composite
def messages(draw: st.DrawFn, most: int) -> Message:
    """Any that there may be, of up to so many notices."""
    notices = []
    for one in draw(st.lists(_conditions, min_size=1, max_size=most)):
        kind = draw(st.sampled_from(Kind))
        ended = one.since + timedelta(hours=1) if kind is Kind.RECOVERED else None
        notices.append(Notice(kind, one, one.since, ended, "alice" if kind is Kind.ACKNOWLEDGED else ""))
    return Message(tuple(notices), "db1.example.org", AT, draw(st.integers(0, 100)))

"""What audit logs tell: a command for each two entries, its begin and its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drtool.errors import DrtoolError
from drtool.monitoring.audit_actor import is_alive
from drtool.monitoring.audit_lines import Line, parse_line
from drtool.monitoring.audit_log import AuditLog
from drtool.operations.unattended.auditing.checking import ACCEPTED
from drtool.repository.audit import read_logged
from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Told:
    """A command as an audit log tells it. ``number`` is the entry's at which it began, ``log`` names the log.

    ``state`` is ``ok``, ``failed``, ``running``, or ``no-end``: it was killed, or its end could not be written. Times
    are ISO 8601 in UTC; ``ended_at`` is None, as are ``exit_code`` and ``kind``, without an end.
    """

    log: str
    number: int
    run: str
    at: str
    ended_at: str | None
    command: str
    arguments: tuple[str, ...]
    who: Mapping[str, Any]
    where: Mapping[str, Any]
    config: Mapping[str, Any]
    tool: str
    state: str
    exit_code: int | None
    kind: str | None
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which commands are asked for: since a moment, and of a name or a group (``key``)."""

    since: datetime | None = None
    command: str | None = None

    def fits(self, told: Told) -> bool:
        """Is it one of them?"""
        if self.command is not None and not f"{told.command} ".startswith(f"{self.command} "):
            return False
        return self.since is None or _moment(told.at) >= self.since


def told_here(log: AuditLog, wanted: Wanted) -> list[Told]:
    """What this host's log tells, oldest first."""
    return [told for told in _told(log.id(), log.lines()) if wanted.fits(told)]


def told_everywhere(repository: Repository, wanted: Wanted) -> tuple[list[Told], list[DrtoolError]]:
    """What the repository has of all hosts' logs, oldest first, and what is wrong with its objects."""
    logged, problems = read_logged(repository)
    lines: dict[str, dict[int, Line]] = {}
    for part in logged:
        of_log = lines.setdefault(part.log, {})
        for text in part.lines:
            if (line := parse_line(text.encode())) is not None:
                of_log.setdefault(line.number, line)
    found = [
        told
        for log, by_number in lines.items()
        for told in _told(log, (by_number[number] for number in sorted(by_number)))
        if wanted.fits(told)
    ]
    return sorted(found, key=lambda told: (told.at, told.log, told.number)), problems


def _told(log: str, lines: Iterable[Line]) -> Iterator[Told]:
    entries = list(lines)
    ends = {line.fields.get("begun"): line.fields for line in entries if line.fields.get("event") == "ended"}
    for line in entries:
        event = line.fields.get("event")
        if event == "ended" and line.fields.get("begun") is not None:
            continue
        yield _command(log, line, ends.get(line.number) if event == "begun" else line.fields)


def _command(log: str, line: Line, end: Mapping[str, Any] | None) -> Told:
    fields = line.fields
    where = _mapping(fields.get("where"))
    is_acceptance = fields.get("event") == ACCEPTED
    return Told(
        log=log,
        number=line.number,
        run=str(fields.get("run", "")),
        at=str(fields.get("at", "")),
        ended_at=None if end is None else str(end.get("at", "")),
        command="audit verify" if is_acceptance else str(fields.get("command", "")),
        arguments=("--accept", str(fields.get("reason", "")))
        if is_acceptance
        else tuple(map(str, fields.get("arguments") or ())),
        who=_mapping(fields.get("who")),
        where=where,
        config=_mapping(fields.get("config")),
        tool=str(fields.get("tool", "")),
        state=_state(where, end),
        exit_code=None if end is None else end.get("exit_code"),
        kind=None if end is None else end.get("kind"),
        result=_mapping(end.get("result") if end is not None else None),
    )


def _state(where: Mapping[str, Any], end: Mapping[str, Any] | None) -> str:
    if end is None:
        return "running" if is_alive(where) else "no-end"
    return "failed" if end.get("exit_code") else "ok"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(text: str) -> datetime:
    """A time of an entry; the beginning of all times where it is none, so that nothing is left out unseen."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat("0001-01-01T00:00:00+00:00")

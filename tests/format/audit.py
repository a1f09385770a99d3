"""Hosts' audit logs, put together from the parts that the repository has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.format.keys import FormatError, Trust, json_object
from tests.format.objects import AUDIT, Sealed, names, read_sealed


@dataclass
class Log:
    """What is known of one host's log: its lines by number, and what is wrong with it."""

    host: str = ""
    lines: dict[int, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json_object(self.lines[number]) for number in sorted(self.lines)]


def read_logs(directory: Path, trust: Trust) -> tuple[dict[str, Log], list[str]]:
    """The logs, by the hash of their first lines, and what is wrong with the objects and their chains."""
    problems: list[str] = []
    parts: list[Sealed] = []
    for name in names(directory, AUDIT):
        try:
            parts.append(read_sealed(directory, trust, AUDIT, name))
        except FormatError as error:
            problems.append(str(error))
    problems += _chains(parts)
    logs: defaultdict[str, Log] = defaultdict(Log)
    for part in parts:
        fields = part.fields
        log = logs[fields["log"]]
        log.host = fields["host"]
        _take(log, part.name, fields)
    for id_, log in logs.items():
        log.problems += _in_order(id_, log)
    return dict(logs), problems


def _chains(parts: list[Sealed]) -> Iterator[str]:
    hashes: defaultdict[bytes, set[str]] = defaultdict(set)
    for part in parts:
        hashes[part.signer].add(part.hash)
    for part in parts:
        number, previous = part.fields["number"], part.fields["previous"]
        if (previous is None) != (number == 1) or (previous is not None and previous not in hashes[part.signer]):
            yield f"{part.name} does not follow anything"


def _take(log: Log, name: str, fields: Mapping[str, Any]) -> None:
    for text in fields["lines"]:
        raw = text.encode("ascii")
        number = json_object(raw)["number"]
        if log.lines.setdefault(number, raw) != raw:
            log.problems.append(f"{name} has another line {number}")


def _in_order(id_: str, log: Log) -> Iterator[str]:
    if sorted(log.lines) != list(range(1, len(log.lines) + 1)):
        yield "lines are missing"
    before: str | None = None
    for number in sorted(log.lines):
        if json_object(log.lines[number])["previous"] != before:
            yield f"line {number} does not follow the one before"
        before = hashlib.sha256(log.lines[number]).hexdigest()
        if number == 1 and before != id_:
            yield "the first line is another"

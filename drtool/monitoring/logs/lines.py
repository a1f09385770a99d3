"""A line of the log, and how it is written."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How much a line matters; a higher one matters more."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def label(self) -> str:
        """The word in lines and configuration."""
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Level:
        """The level that a configuration names."""
        return cls[label.upper()]


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened. ``run`` is empty outside of a run; ``fields`` are of JSON's kinds, without secrets."""

    at: datetime
    level: Level
    message: str
    command: str = ""
    run: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def as_json(line: Line) -> str:
    """One line of JSON, without its newline: ``time``, ``level``, ``message``, ``command``, ``run``, ``host``, ``pid``,
    then its own fields."""
    head: dict[str, Any] = {"time": _time(line), "level": line.level.label, "message": line.message}
    head |= {"command": line.command, "run": line.run, "host": socket.gethostname(), "pid": os.getpid()}
    own = {name: value for name, value in line.fields.items() if name not in head}
    return json.dumps({**head, **own})


def as_text(line: Line) -> str:
    """One line for people, without its newline; newlines in the message are written as ``\\n``."""
    words = [
        _time(line),
        f"{line.level.label:7}",
        line.run or "-",
        f"{line.command or 'drtool'}:",
        _plain(line.message),
    ]
    words += [f"{_plain(name)}={json.dumps(value)}" for name, value in line.fields.items() if value not in ("", None)]
    return " ".join(words)


def _time(line: Line) -> str:
    return line.at.astimezone(UTC).isoformat(timespec="milliseconds")


def _plain(text: str) -> str:
    """`text` without anything that would move a terminal's cursor, or begin a line of its own."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)

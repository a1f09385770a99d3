"""What entries of the audit log say of a command: who called it, from where, how, and how it ended."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drtool import __version__
from drtool.config.masking import MASK, MASKER, without_passwords
from drtool.monitoring.audit_actor import actor, origin
from drtool.monitoring.audit_lines import LONGEST

_LONGEST_ARGUMENT = 500
_MOST_ARGUMENTS = 50
#: Number, time and hash of a line come to that.
_LONGEST_ENTRY = LONGEST - 4096
_SETTING = re.compile(r"((?:^|[?&;])[^=?&;]*(?:pass|pwd|secret|token|key|sig)[^=?&;]*=)[^?&;]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Deed:
    """A command as it was called: its full name, what stood after that, and the id of the run."""

    command: str
    arguments: Sequence[str]
    run: str


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. ``kind`` is that of the error, empty without one; ``facts`` name snapshots, targets, the like."""

    exit_code: int
    kind: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def by_whom() -> dict[str, Any]:
    """Who calls this process, and from where, as entries have it."""
    return {"who": actor(), "where": origin(), "tool": f"drtool {__version__}"}


def masked(arguments: Sequence[str]) -> list[str]:
    """Arguments as they may be kept: without passwords and other secrets, and not endless."""
    kept = [_masked(argument) for argument in arguments[:_MOST_ARGUMENTS]]
    left_out = len(arguments) - len(kept)
    return [*kept, f"… and {left_out} more"] if left_out else kept


def _masked(argument: str) -> str:
    text = without_passwords(argument)
    scheme, is_address, rest = text.partition("://")
    if is_address:
        authority, at, tail = rest.rpartition("@")
        user, colon, _ = authority.partition(":")
        rest = f"{user}{colon}{MASK if colon else ''}{at}{tail}" if at else rest
        text = f"{scheme}://" + _SETTING.sub(rf"\1{MASK}", rest)
    return text if len(text) <= _LONGEST_ARGUMENT else f"{text[:_LONGEST_ARGUMENT]}…"


def about(config: Path, deed: Deed) -> dict[str, Any]:
    """Of a command as it was called, with the configuration in this file."""
    try:
        digest = hashlib.sha256(config.read_bytes()).hexdigest()
    except OSError:  # it was read a moment ago, and is being replaced
        digest = ""
    return {
        "run": deed.run,
        "command": deed.command,
        "arguments": masked(deed.arguments),
        "config": {"path": str(config), "sha256": digest},
        **by_whom(),
    }


def told(result: Result) -> dict[str, Any]:
    """Of a command that has ended."""
    facts: Any = MASKER.masked(dict(result.facts))
    return {"exit_code": int(result.exit_code), "kind": result.kind, "result": facts}


def fitting(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry, less what makes it longer than a line may be."""
    for name, instead in (("result", {"left_out": "too long"}), ("arguments", ["left out: too long"])):
        if len(json.dumps(entry)) <= _LONGEST_ENTRY:
            break
        entry = {**entry, name: instead}
    return entry

"""What is wrong with a configuration: collected first, reported all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drtool.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value stands: mapping keys and list positions (from 0), from the top of the file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about one place; ``line`` counts from 1. The sentence never holds a configured value."""

    line: int
    key: KeyPath
    message: str
    column: int | None = None

    def render(self, file: str) -> str:
        """``drtool.yaml:14: jobs.nightly.scedule: unknown key``."""
        place = f"{file}:{self.line}" if self.column is None else f"{file}:{self.line}:{self.column}"
        return f"{place}: {dotted(self.key)}: {self.message}" if self.key else f"{place}: {self.message}"


def dotted(key: KeyPath) -> str:
    """A place as people write it: ``jobs.nightly.sources[2]``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'schedule'?``, or else the words there are; to be put after a complaint about `word`."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(choices)}" if choices else ""


def refuse(file: str, problems: Sequence[Problem]) -> ConfigError:
    """The error that reports all `problems` (at least one), in the file's order, one line each."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column or 0))
    return ConfigError("\n".join(dict.fromkeys(problem.render(file) for problem in ordered)))

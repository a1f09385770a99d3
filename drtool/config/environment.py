"""Environment variables in text values: ``${NAME}``, ``${NAME:-default}``, and ``$$`` for a dollar sign.

A lone dollar sign stays as it is, so that passwords seldom need the escape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:(?P<escape>\$)|\{(?P<inside>[^}]*)(?P<close>\})?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`text` with its variables filled in.

    The default also stands in for an empty variable, as in a shell. ``ValueError`` (which names the variable,
    never a value) for one that is not set, or for a reference that is not well formed.
    """

    def replace(match: re.Match[str]) -> str:
        if match["escape"]:
            return "$"
        inside = _INSIDE.fullmatch(match["inside"]) if match["close"] else None
        if inside is None:
            raise ValueError(
                "'${' begins no variable such as ${NAME} or ${NAME:-default}; write '$${' for the text itself"
            )
        value = environment.get(inside["name"])
        if inside["default"] is not None:
            return value or inside["default"]
        if value is None:
            raise ValueError(f"environment variable {inside['name']} is not set")
        return value

    return _REFERENCE.sub(replace, text)


def escape(text: str) -> str:
    """`text` so that `expand` gives it back."""
    return text.replace("$", "$$")

"""The files of ``cron/`` with their placeholders filled in; they are what is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from drtool.config.shipped import shipped_folder
from drtool.errors import InstallationError

FOLDER = "cron"
_PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")


def filled(name: str, values: Mapping[str, str]) -> str:
    """The template of this name with its placeholders filled in.

    ``InstallationError`` where a placeholder has no value, or a value no placeholder.
    """
    path = shipped_folder(FOLDER) / name
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InstallationError(f"cannot read {path}: {error.strerror}") from error
    return fill(text, values, str(path))


def fill(text: str, values: Mapping[str, str], origin: str) -> str:
    """`text` with each ``@NAME@`` replaced by its value, which itself is taken as it is.

    The further lines of a value are indented like the line that it begins in; a line with nothing but a placeholder
    goes where the value is empty.
    """
    found = set(_PLACEHOLDER.findall(text))
    if wrong := sorted(found ^ values.keys()):
        raise InstallationError(
            f"{origin} does not fit this version of drtool: it and the values differ in {', '.join(wrong)}",
            hint="Put the file back as it came with drtool; a unit is changed with systemctl edit.",
        )
    lines = (_line(line, values) for line in text.splitlines(keepends=True))
    return "".join(line for line in lines if line is not None)


def _line(line: str, values: Mapping[str, str]) -> str | None:
    indent = line[: len(line) - len(line.lstrip(" "))]

    def value(match: re.Match[str]) -> str:
        first, *further = values[match[1]].split("\n")
        return "\n".join([first, *(indent + one if one else one for one in further)])

    alone = _PLACEHOLDER.fullmatch(line.strip())
    return None if alone and not values[alone[1]] else _PLACEHOLDER.sub(value, line)

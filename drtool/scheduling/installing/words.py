"""A command as crontabs and units write it, and back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from drtool.errors import InstallationError

#: Longer commands are cut or refused: Vixie's cron has 1000 bytes for one, with its end.
CRON_BYTES = 998
_NULL = "</dev/null"
_PLAIN = re.compile(r"[A-Za-z0-9_/.,:=@+-]+")
_UNIT_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%"}


def to_cron(words: Sequence[str]) -> str:
    """The command of a crontab's line; it reads nothing. ``InstallationError`` for what cron cannot be told."""
    for word in words:
        _require_printable(word)
        if "\\" in word:  # crons differ in what they make of it before a %
            raise InstallationError(f"a crontab cannot hold {word}: it has a backslash in it")
    command = f"{shlex.join(words)} {_NULL}".replace("%", "\\%")
    if len(command.encode()) > CRON_BYTES:
        raise InstallationError(
            f"the command would be {len(command.encode()):,} bytes long, and cron takes {CRON_BYTES:,}",
            hint="Most of it is the search path of this shell; give a shorter one: PATH=/usr/local/bin:/usr/bin:/bin",
        )
    return command


def from_cron(line: str) -> list[str]:
    """The words of a crontab's line behind its five fields; none where its quotation does not end."""
    parts = line.split(None, 5)
    try:
        return shlex.split(parts[5].replace("\\%", "%").removesuffix(_NULL)) if len(parts) == 6 else []
    except ValueError:
        return []


def to_unit(words: Sequence[str]) -> str:
    """The value of ExecStart=; systemd.service(5), "Command lines". ``InstallationError`` for what cannot be told."""
    program, *arguments = words
    if set(program) & set("'\"\\"):
        raise InstallationError(f"systemd starts no program whose path has quotation marks or backslashes: {program}")
    return " ".join([quoted(program), *(quoted(word).replace("$", "$$") for word in arguments)])


def from_unit(value: str) -> list[str]:
    """The words of an ExecStart= that `to_unit` wrote."""
    words = []
    for match in re.finditer(r'"((?:\\.|[^"\\])*)"|(\S+)', value):
        word = match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])
        words.append(word.replace("%%", "%"))
    return [*words[:1], *(word.replace("$$", "$") for word in words[1:])]


def quoted(word: str) -> str:
    """A word of a unit's setting: systemd.syntax(7), with specifiers kept from being expanded."""
    _require_printable(word)
    escaped = "".join(_UNIT_ESCAPES.get(character, character) for character in word)
    return word if _PLAIN.fullmatch(word) else f'"{escaped}"'


def _require_printable(word: str) -> None:
    if not word.isprintable():
        raise InstallationError(f"{word!r} has a character in it that a crontab or unit cannot hold")

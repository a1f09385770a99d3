"""What a command prints on standard output: text for people, or JSON lines for programs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from drtool.cli.jsonlines import encode
from drtool.cli.options import GlobalOptions
from drtool.cli.tables import lay_out
from drtool.config.masking import mask
from drtool.errors import DrtoolError, ExitCode

_GREEN, _BOLD, _PLAIN = "\x1b[32m", "\x1b[1m", "\x1b[0m"
_RESERVED = {"type", "command", "ok", "exit_code", "error"}
_SENTENCES = {"message", "hint"}
#: What could move a terminal's cursor or change its colours, should a name hold it; tabs and newlines may stay.
_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class OutputClosedError(Exception):
    """Whoever read standard output has gone (``drtool … | head``)."""


class OutputError(DrtoolError):
    """Standard output does not take what is written to it (a full disk behind it, say)."""


def told(fields: Any) -> Any:
    """`fields` with the sentences in it (``message``, ``hint``) masked: they may quote a driver or a server."""
    match fields:
        case dict():
            return {
                name: mask(value) if name in _SENTENCES and isinstance(value, str) else told(value)
                for name, value in fields.items()
            }
        case list() | tuple():
            return [told(value) for value in fields]
    return fields


def printable(text: str) -> str:
    """`text` with control characters replaced, so that it cannot steer a terminal."""
    return text.translate(_CONTROL)


class Output:
    """Standard output. Each method prints in one of the two modes only, so that a command calls both kinds.

    May be used from several threads. Raises ``OutputClosedError`` when nobody reads any more, and ``OutputError``,
    once, where writing fails otherwise: what comes after that is dropped, the report on that very error too.
    """

    def __init__(self, options: GlobalOptions, stream: TextIO | None = None) -> None:
        self._options = options
        self._stream = sys.stdout if stream is None else stream
        self._lock = threading.Lock()
        self._fields: dict[str, Any] = {}
        self._finished = False
        self._broken = False

    @property
    def json(self) -> bool:
        """JSON lines, not text?"""
        return self._options.json

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the result line has so far."""
        return dict(self._fields)

    @property
    def broken(self) -> bool:
        """Has writing failed, while a reader was there?"""
        return self._broken

    def divert(self, stream: TextIO) -> None:
        """Print to `stream` from here on, because standard output takes data."""
        self._stream = stream

    def line(self, kind: str, /, **fields: Any) -> None:
        """A JSON line of this ``type`` (``result`` is `finish`'s)."""
        if kind == "result" or "type" in fields:
            raise ValueError("the result line is printed by Output.finish, from what Output.result was given")
        if self.json:
            self._write(encode({"type": kind, **told(fields)}))

    def result(self, **fields: Any) -> None:
        """Put `fields` into the final result line, whether the command then ends well or not."""
        if reserved := _RESERVED & fields.keys():
            raise ValueError(f"the result line has {', '.join(sorted(reserved))} already")
        encode(fields)  # what JSON lacks is noticed here, where it is given
        self._fields |= fields

    def text(self, text: str = "") -> None:
        """A line, or several, for people."""
        if not self.json:
            self._write(printable(text))

    def ok(self, text: str) -> None:
        """A sentence for people that something is as it should be."""
        if not self.json:
            self._write(self._styled(f"✓ {printable(text)}", _GREEN))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
        """A table for people; the columns named in `right` are aligned on the right. Cells are shown as text."""
        if self.json:
            return
        cells = [[printable(str(cell)).expandtabs() for cell in row] for row in rows]
        head, body = lay_out(columns, cells, set(right), self._width())
        self._write("\n".join([*(self._styled(line, _BOLD) for line in head), *body]))

    def finish(self, exit_code: ExitCode, error: dict[str, str] | None = None) -> None:
        """Print the final result line, once; `error` has ``kind``, ``message`` and ``hint``. For ``main`` only."""
        if self._finished:
            return
        self._finished = True
        if self.json:
            line = {"type": "result", "command": self._options.command, "ok": exit_code == ExitCode.OK}
            line |= {"exit_code": int(exit_code), **told(self._fields)}
            self._write(encode(line if error is None else {**line, "error": error}))

    def _styled(self, line: str, style: str) -> str:
        is_plain = not self._stream.isatty() or os.environ.get("TERM") in ("dumb", "unknown")
        return line if is_plain or os.environ.get("NO_COLOR") else f"{style}{line}{_PLAIN}"

    def _width(self) -> int | None:
        """Of the terminal; None where there is none: a program or a file has no margin."""
        if not self._stream.isatty():
            return None
        told = os.environ.get("COLUMNS", "")
        return (
            int(told) if told.isdecimal() and int(told) else os.get_terminal_size(self._stream.fileno()).columns or 80
        )

    def _write(self, text: str) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except BrokenPipeError:
                raise OutputClosedError from None
            except OSError as error:
                self._broken = True
                raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error

"""This host's audit log: lines of JSON in a file to which several processes append (docs/format.md, "Audit log")."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drtool.errors import StateError
from drtool.local.clock import Clock, now
from drtool.local.database import Database
from drtool.monitoring.audit_lines import Checked, End, Fault, Line, against, check_lines, digest, make_line, parse_line

FILE = "audit.jsonl"
_STEPS = (
    """
    CREATE TABLE ends (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER, hash TEXT, size INTEGER, log TEXT);
    CREATE TABLE uploaded (
        repository TEXT PRIMARY KEY, log TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL,
        size INTEGER NOT NULL
    );
    CREATE TABLE told (what TEXT PRIMARY KEY, at REAL NOT NULL)
    """,
)


@dataclass(frozen=True, slots=True)
class _Place:
    """The end of a log, and where in the file it is (bytes)."""

    end: End
    size: int
    log: str


_NOTHING = _Place(End(), 0, "")


@dataclass(frozen=True, slots=True)
class Pending:
    """Lines of a log that a repository has not got; ``size`` is where in the file the last one ends."""

    log: str
    lines: tuple[Line, ...]
    size: int


class AuditLog:
    """The log of one repository on this host. ``StateError`` from every call where it cannot be used.

    A small database beside the file remembers its end, so that a cut or an edited last line is noticed, and what was
    uploaded. Its transactions are the lock between processes.
    """

    def __init__(self, directory: Path, clock: Clock = now) -> None:
        self.path = directory / FILE
        self._clock = clock
        self._database = Database(directory / "audit.sqlite", _STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def append(self, fields: Mapping[str, Any]) -> Line:
        """Write an entry and wait until it is on the disk. ``at`` is added.

        After a cut it counts on from the end that is remembered, so that the cut stays visible.
        """
        with self._used(), _opened(self.path) as descriptor:
            written: _Place | None = None
            try:
                with self._database.transaction() as connection:
                    size = os.fstat(descriptor).st_size
                    before, torn = _caught_up(descriptor, _place(connection), size)
                    line = make_line(before.end, {"at": self._clock().isoformat(), **fields, **torn})
                    data = line.text.encode() + b"\n"
                    if size and os.pread(descriptor, 1, size - 1) != b"\n":
                        data = b"\n" + data
                    _write(descriptor, data, size)
                    end, log = End(line.number, line.hash), before.log or line.hash
                    written = _Place(end, size + len(data), log)
                    connection.execute(
                        "INSERT OR REPLACE INTO ends VALUES (1, ?, ?, ?, ?)", (*astuple(end), written.size, log)
                    )
            except BaseException:
                if written is not None:
                    self._take_back(descriptor, size, written)
                raise
        return line

    def _take_back(self, descriptor: int, size: int, written: _Place) -> None:
        """Cut off the line behind `size` that could not be remembered (a full disk): of several of them, what is caught
        up with is only the first, and the others would look like lines that were put in."""
        with contextlib.suppress(StateError), self._database.transaction() as connection:
            is_last = os.fstat(descriptor).st_size == written.size
            if is_last and _place(connection) != written:
                os.ftruncate(descriptor, size)

    def lines(self) -> Iterator[Line]:
        """All entries, oldest first; what is none is passed over."""
        with self._used(), self._read() as file:
            for raw in file:
                line = parse_line(raw.removesuffix(b"\n"))
                if line is not None:
                    yield line

    def check(self) -> Checked:
        """Is every line what was written, in its place, and the last one there?"""
        with self._database.transaction() as connection:
            place = _place(connection)
            with self._used(), self._read() as file:
                data = file.read()
        complete, _, tail = data.rpartition(b"\n")
        found = check_lines(complete.split(b"\n") if complete else [])
        found.faults += against(found, place.end, "this host")
        if found.end.number > place.end.number + 1:
            message = f"entries after {place.end.number} were put in: this host did not write them"
            found.faults.append(Fault("foreign", place.end.number + 1, message))
        # A run that died while it wrote; the next entry says so for good.
        found.torn += bool(tail)
        return found

    def id(self) -> str:
        """What this host remembers the log by, the hash of its first line; "" before that."""
        with self._database.reading() as connection:
            return _place(connection).log

    def uploaded(self, repository: str) -> tuple[str, End]:
        """Which log, and up to which entry, a repository (its id) has got from this host; "" before the first."""
        with self._database.reading() as connection:
            row = _uploaded(connection, repository)
        return ("", End()) if row is None else (row["log"], End(row["number"], row["hash"]))

    def pending(self, repository: str) -> Pending:
        """What a repository (its id) has not got, oldest first."""
        with self._database.transaction() as connection, self._used():
            place, row = _place(connection), _uploaded(connection, repository)
            known = row if row is not None and row["log"] == place.log else None
            number, start = (known["number"], known["size"]) if known is not None else (0, 0)
            with self._read() as file:
                if os.fstat(file.fileno()).st_size >= start:
                    file.seek(start)
                data = file.read(max(0, place.size - file.tell()))
                size = file.tell()
        found = (parse_line(raw) for raw in data.split(b"\n"))
        return Pending(place.log, tuple(line for line in found if line is not None and line.number > number), size)

    def note_uploaded(self, repository: str, pending: Pending) -> None:
        """A repository (its id) has got these."""
        last = pending.lines[-1]
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO uploaded VALUES (?, ?, ?, ?, ?)",
                (repository, pending.log, last.number, last.hash, pending.size),
            )

    def is_due(self, what: str, every: timedelta) -> bool:
        """Was this not said within that time? It is taken for said from now on."""
        moment = self._clock()
        with self._database.transaction() as connection:
            row = connection.execute("SELECT at FROM told WHERE what = ?", (what,)).fetchone()
            # A clock that was stepped back must not silence anything for longer.
            if row is not None and 0 <= moment.timestamp() - row["at"] < every.total_seconds():
                return False
            connection.execute("DELETE FROM told WHERE at < ?", ((moment - every).timestamp(),))
            connection.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (what, moment.timestamp()))
        return True

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(
                f"the audit log {self.path} cannot be used: {error.strerror or error}",
                hint="Is the disk full, or the file another user's? It lies under repository.state_dir.",
            ) from error

    @contextlib.contextmanager
    def _read(self) -> Iterator[Any]:
        path = self.path if self.path.exists() else Path(os.devnull)
        with path.open("rb") as file:
            yield file


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if is_new:
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes, size: int) -> None:
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)  # of an entry that nobody was told is written nothing need stay
        raise


def _place(connection: sqlite3.Connection) -> _Place:
    row = connection.execute("SELECT * FROM ends").fetchone()
    return _NOTHING if row is None else _Place(End(row["number"], row["hash"]), row["size"], row["log"])


def _uploaded(connection: sqlite3.Connection, repository: str) -> Any:
    return connection.execute("SELECT * FROM uploaded WHERE repository = ?", (repository,)).fetchone()


def _caught_up(descriptor: int, place: _Place, size: int) -> tuple[_Place, dict[str, str]]:
    """The end of the file, where it is further than what is remembered, and what to note of a torn line.

    A crash can leave one whole line that is not remembered, and a piece of one. Where nothing is remembered at all the
    file is taken as it is.
    """
    pieces = os.pread(descriptor, max(0, size - place.size), place.size).split(b"\n")
    most = 1 if place.end.number else len(pieces)
    while pieces and most and (line := _following(pieces[0], place.end)) is not None:
        place = _Place(End(line.number, line.hash), place.size + len(pieces.pop(0)) + 1, place.log or line.hash)
        most -= 1
    tail = b"\n".join(pieces)
    return place, {"torn": digest(tail)} if tail and not tail.endswith(b"\n") else {}


def _following(raw: bytes, end: End) -> Line | None:
    line = parse_line(raw)
    return line if line is not None and (line.number, line.previous) == (end.number + 1, end.hash) else None

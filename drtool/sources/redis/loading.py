"""Writing records: one RESTORE for each key, many at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import IO, NoReturn

from drtool.errors import IncompleteRestoreError, UnreachableError
from drtool.sources.redis import uri as uris
from drtool.sources.redis.connection import Client
from drtool.sources.redis.payloads import Commands, restore_commands
from drtool.sources.redis.rdb.types import kind_of
from drtool.sources.redis.records import Entry, Part, shown
from drtool.sources.restoring import Loaded

_DONE = b"+OK\r\n"
#: How many batches of commands the server may have that it did not answer: it works on them while more are made.
_AHEAD = 4
_OUT_OF_MEMORY = "Raise the target's maxmemory, or restore to another server with --to URI."


class Halves:
    """Values of which some parts are there: those of one value may come to different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, bytes], dict[int, Part]] = {}

    def complete(self, stream: str, part: Part) -> Entry | None:
        """Take a part of several; the whole key where it was the last one that was missing."""
        with self._lock:
            held = self._held.setdefault((stream, part.key), {})
            held[part.number] = part
            if sum(len(one.value) for one in held.values()) < part.total:
                return None
            del self._held[stream, part.key]
        return Entry(part.key, part.expiry, b"".join(held[number].value for number in sorted(held)))

    def forget(self) -> None:
        """Drop what is held: all is loaded anew."""
        with self._lock:
            self._held.clear()

    def require_none(self) -> None:
        """``IncompleteRestoreError`` where something still waits for its parts."""
        with self._lock:
            if self._held:
                stream, key = next(iter(self._held))
                raise IncompleteRestoreError(f"{stream}: {shown(key)} did not come back: parts of it are missing")


def load(
    client: Client,
    uri: str,
    name: str,
    chunks: Iterable[bytes],
    halves: Halves,
    change: Callable[[Entry], Entry] | None,
) -> Loaded:
    """Write records of stream `name`; with `change`, what it makes of each key. ``IncompleteRestoreError``, naming the
    key, where the server does not take one."""
    records = size = 0
    connection = client.connection_pool.get_connection()
    try:
        # Not by the client's own parser: reading replies one by one takes it longer than the server takes to give them.
        with connection._sock.makefile("rb") as replies:
            sent: deque[Commands] = deque()
            for chunk in chunks:
                for commands in restore_commands(chunk, lambda part: halves.complete(name, part), change):
                    connection.send_packed_command([commands.data])
                    sent.append(commands._replace(data=b""))
                    if len(sent) > _AHEAD:
                        _require_done(replies, uri, name, sent.popleft())
                    records += commands.records
                size += len(chunk)
            for commands in sent:
                _require_done(replies, uri, name, commands)
    finally:
        connection.disconnect()
    return Loaded(records, size)


def _require_done(replies: IO[bytes], uri: str, name: str, commands: Commands) -> None:
    keys = commands.keys
    expected = _DONE * len(keys)
    given = replies.read(len(expected))
    if given == expected:
        return
    # An error is a longer line: what was read ends in the middle of the answers, or where the connection was cut.
    lines = given.split(b"\r\n")
    lines[-1] += replies.readline().removesuffix(b"\r\n")
    while len(lines) < len(keys) and (line := replies.readline()):
        lines.append(line.removesuffix(b"\r\n"))
    for key, number, line in zip(keys, commands.types, lines, strict=False):
        if line.startswith(b"-"):
            _refuse(uri, f"{shown(key)} of {name}, a {kind_of(number)}", line[1:].decode(errors="replace"))
    raise UnreachableError(f"{uris.shown(uri)}, writing {name}: the server ended the connection")


def _refuse(uri: str, what: str, answer: str) -> NoReturn:
    hint = _OUT_OF_MEMORY if answer.startswith("OOM") else ""
    raise IncompleteRestoreError(f"{uris.shown(uri)} does not take {what}: {answer}", hint=hint)

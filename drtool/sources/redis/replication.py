"""A dump at one instant, over the replication protocol: what a replica is given when it joins.

A client announces itself (REPLCONF), asks for everything (PSYNC ? -1) and is answered with the offset in the log of
changes that the dump belongs to; then come blank lines until the dump begins, ``$LENGTH`` or, where the server writes
none to its disk, ``$EOF:`` and 40 bytes that follow the dump once more (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/,
``src/replication.c``). The server forks when it gives the offset: what changes later is not in the dump.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from drtool.errors import AuthenticationError, SourceError, UnreachableError
from drtool.sources.extras import require
from drtool.sources.redis import uri as uris
from drtool.sources.redis.arriving import Arrival
from drtool.sources.redis.blocks import BLOCK, SILENCE_SECONDS, Blocks
from drtool.sources.redis.connection import Client, Server, connect, refusal, translated
from drtool.sources.redis.rdb.dump import LeftOut

_DOING = "reading a dump"
_BUFFER, _MARK = 64 * 1024, 40
_GRANT = "It takes +psync and +replconf (drtool doctor --print-roles SOURCE prints the whole command), or method: scan."
_CUT_OFF = (
    "The server's log says why: no room for the dump, say, or client-output-buffer-limit replica reached while much was"
    " written. Run the same again."
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the server's log of changes a dump stands, and when it was taken."""

    replication_id: str
    offset: int
    instant: datetime


class Download:
    """A dump on its way: from `begin` on a thread receives it, so that the server need not keep it, and walks it."""

    def __init__(self, uri: str, connection: Any, stream: IO[bytes], position: Position, arrival: Arrival) -> None:
        self._uri, self._connection, self._stream = uri, connection, stream
        self.position = position
        self._arrival = arrival
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._receive, name="redis-dump", daemon=True)
        self._thread.start()

    def wait(self) -> Arrival:
        """What arrived, when all of it did. Raises what prevented it."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return self._arrival

    def cancel(self) -> None:
        """End the connection: whoever waits gets an error."""
        if self._thread.is_alive():
            shut = getattr(self._connection._sock, "shutdown", None)
            if shut is not None:
                try:
                    shut(socket.SHUT_RDWR)
                except OSError:
                    return  # it ended by itself

    def close(self) -> None:
        """Give up connection and files. Safe to call twice."""
        self.cancel()
        self._thread.join()
        self._arrival.close()

    def _receive(self) -> None:
        try:
            with translated(self._uri, _DOING):
                self._receive_all(_line_after_blanks(self._stream))
            self._arrival.end()
        except BaseException as error:  # noqa: BLE001 - `wait` raises it
            self._failed = error
        finally:
            self._stream.close()
            self._connection.disconnect()

    def _receive_all(self, head: bytes) -> None:
        if head[:1] == b"-":
            raise refusal(self._uri, _DOING, head[1:].decode(errors="replace"))
        blocks = Blocks(self._connection._sock, self._stream)
        if head.startswith(b"$EOF:") and len(head) == 5 + _MARK:
            self._receive_until(head[5:], blocks)
        elif head[:1] == b"$" and head[1:].isdigit():
            self._receive_bytes(int(head[1:]), blocks)
        elif not head:
            raise self._cut_off(0)
        else:
            raise SourceError(f"{uris.shown(self._uri)}, {_DOING}: it answers with no dump")

    def _receive_bytes(self, length: int, blocks: Blocks) -> None:
        for start in range(0, length, BLOCK):
            block = blocks.buffer[: min(BLOCK, length - start)]
            filled = 0
            while filled < len(block):
                received = blocks.read(block[filled:])
                if not received:
                    raise self._cut_off(start + filled)
                filled += received
            self._arrival.take(block)

    def _receive_until(self, mark: bytes, blocks: Blocks) -> None:
        """All but the last 40 bytes received so far are certainly the dump's."""
        buffer, filled, taken = blocks.buffer, 0, 0
        while buffer[max(0, filled - _MARK) : filled] != mark:
            if filled == BLOCK:
                sure = filled - _MARK
                self._arrival.take(buffer[:sure])
                buffer[:_MARK] = buffer[sure:]
                filled, taken = _MARK, taken + sure
            received = blocks.read(buffer[filled:])
            if not received:
                raise self._cut_off(taken + filled)
            filled += received
        self._arrival.take(buffer[: filled - _MARK])

    def _cut_off(self, received: int) -> UnreachableError:
        text = f"the server ended the connection after {received:,} bytes of the dump"
        return UnreachableError(f"{uris.shown(self._uri)}, {_DOING}: {text}", hint=_CUT_OFF)


class NoDumpError(AuthenticationError):
    """The server knows the command PSYNC not, or not for this user: keys can only be read one by one."""


def prefers_no_disk(client: Client, server: Server) -> bool:
    """Should the dump not be written to the server's disk on its way? Without ``capa eof`` it is, and the server begins
    at once; with it the server may wait for other replicas (repl-diskless-sync-delay). So only where nothing else is
    written there either, or where that failed."""
    errors = require("redis", "redis").exceptions
    if server.last_save_failed:
        return True
    try:
        told = client.config_get("save")
    except errors.ResponseError:  # no right to ask, or no such command
        return False
    return bool(told.get("save") == "")


def begin(uri: str, *, no_disk: bool, left_out: Callable[[int], LeftOut]) -> Download:
    """Fix an instant and begin to receive all but the keys that are `left_out` (of a database, says so of a key).
    ``NoDumpError`` where the server grants no dump."""
    connection = connect(uri).connection_pool.get_connection()
    try:
        with translated(uri, _DOING):
            raw = connection._sock
            raw.settimeout(SILENCE_SECONDS)
            # The client's own parser would read into the dump; after the log-in nothing is left in it.
            stream = raw.makefile("rb", buffering=_BUFFER)
            for capability in [("rdb-only", "1"), *([("capa", "eof")] if no_disk else [])]:
                connection.send_command("REPLCONF", *capability)
                _line_after_blanks(stream)  # a server that does not know rdb-only goes on
            connection.send_command("PSYNC", "?", "-1")
            answer = _line_after_blanks(stream).decode(errors="replace")
        return Download(uri, connection, stream, _position(uri, answer), Arrival(left_out))
    except BaseException:
        connection.disconnect()
        raise


def _position(uri: str, answer: str) -> Position:
    """Of the line that PSYNC is answered with."""
    instant = datetime.now(UTC)
    if answer.startswith(("-NOPERM", "-ERR unknown command")):
        raise NoDumpError(f"{uris.shown(uri)}, {_DOING}: {answer[1:]}", hint=_GRANT)
    if answer.startswith("-"):
        raise refusal(uri, _DOING, answer[1:])
    words = answer.split()
    if len(words) != 3 or words[0] != "+FULLRESYNC":
        raise SourceError(f"{uris.shown(uri)}, {_DOING}: the server answers PSYNC with {answer[:60]!r}")
    return Position(words[1], int(words[2]), instant)


def _line_after_blanks(stream: IO[bytes]) -> bytes:
    """The next line that is not blank, without its end; empty at the end of the connection."""
    while line := stream.readline(64 * 1024):
        if text := line.rstrip(b"\r\n"):
            return text
    return b""

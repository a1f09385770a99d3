"""What a connection sends, in few large reads: waking up for each of the small ones a server writes costs as much as
all the rest of receiving."""

from __future__ import annotations

import select
import socket
import time
from typing import IO, Any

#: The server says something at least every 10 seconds (repl-ping-replica-period), unless it was told otherwise.
SILENCE_SECONDS = 120.0
BLOCK = 1024 * 1024
#: How many bytes are worth waking up for, and how long less is left waiting, in milliseconds.
_ENOUGH, _PATIENCE = 256 * 1024, 20


class Blocks:
    """Reads of `stream`, which was made of the socket `raw`. ``buffer`` is there to be used again and again: fresh
    memory is slow."""

    def __init__(self, raw: Any, stream: IO[bytes]) -> None:
        self.buffer = memoryview(bytearray(BLOCK))
        self._stream = stream
        self._poll = None
        if not hasattr(raw, "pending"):  # of TLS only the socket's own reads know what is there
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _ENOUGH)
            raw.setblocking(False)
            self._poll = select.poll()
            self._poll.register(raw, select.POLLIN)

    def read(self, into: memoryview) -> int:
        """How many bytes came, at most as many as there is room for; 0 at the end. ``TimeoutError`` where none come."""
        deadline = time.monotonic() + SILENCE_SECONDS
        while True:
            if self._poll is not None:
                self._poll.poll(_PATIENCE)
            received: int | None = self._stream.readinto1(into)  # type: ignore[attr-defined]
            if received is not None:
                return received
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing came for {SILENCE_SECONDS:.0f} seconds")

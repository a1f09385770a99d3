"""A terminal to write to, and what appears on it."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A terminal to write to, and the descriptor where what was written can be read."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        try:
            yield stream, ours
        finally:
            os.close(ours)


def read_until(descriptor: int, wanted: str) -> str:
    """What arrives up to and including `wanted`."""
    seen = b""
    deadline = time.monotonic() + 30
    while wanted.encode() not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{wanted!r} did not appear in {seen!r}"
        seen += os.read(descriptor, 65536)
    return seen.decode()

"""What Chroma's client raises, as drtool's errors."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from drtool.errors import (
    AuthenticationError,
    DrtoolError,
    InstantMovedError,
    SourceError,
    UnreachableError,
)
from drtool.sources.chroma.address import Address
from drtool.sources.extras import require

_START = "Is the server running, and is this its address? chroma run --host HOST --port PORT starts one."
_GONE = "The server went away while it was answering; run it again when the server is back."
_NO_V2 = "It answers as no Chroma of version 1 does (/api/v2): upgrade the server, or correct the source's url."
_LONGEST = 300


@contextlib.contextmanager
def translated(address: Address, doing: str = "", *, at_instant: bool = False) -> Iterator[None]:
    """Raise what the client raises as drtool's errors; `doing` says what was being done (``reading docs``), nothing at
    the first contact.

    ``UnreachableError`` without an answer, ``AuthenticationError`` for credentials and privileges, else
    ``SourceError``; with `at_instant`, ``InstantMovedError`` for a collection that is there no more.
    """
    try:
        yield
    except DrtoolError:
        raise
    except BaseException as error:
        found = _translation(error, address, doing, at_instant=at_instant)
        if found is None:
            raise
        raise found from error


def _translation(error: BaseException, address: Address, doing: str, *, at_instant: bool) -> DrtoolError | None:
    """None for what has nothing to do with Chroma: a bug, or an interrupt."""
    errors, httpx = require("chromadb.errors", "chroma"), require("httpx", "chroma")
    where = address.shown + (f", {doing}" if doing else "")
    text = f"{where}: {_text(error)}"
    if isinstance(error, httpx.TransportError):
        return UnreachableError(text, hint=_GONE if doing else _START)
    if isinstance(error, errors.NotFoundError):
        return InstantMovedError(f"{where}: it was deleted meanwhile") if at_instant else SourceError(text)
    if isinstance(error, errors.ChromaAuthError | errors.AuthorizationError):
        return _denied(text)
    if isinstance(error, errors.ChromaError | sqlite3.Error):
        return SourceError(text)
    if type(error).__name__ == "PanicException":  # the engine's, which derives from BaseException
        return SourceError(f"{text} (the engine broke down)")
    if isinstance(error.__context__, httpx.HTTPStatusError):  # raised as a bare Exception, with the body as its text
        return _refusal(error.__context__.response.status_code, where, text)
    if isinstance(error, ValueError | KeyError | TypeError | httpx.InvalidURL):  # the client stumbles over an answer
        return SourceError(text, hint="" if address.url is None else _NO_V2)
    return None


def _refusal(status: int, where: str, text: str) -> DrtoolError:
    if status in (401, 403):
        return _denied(f"{where}: the server refuses ({status})")
    if status in (502, 503, 504):
        return UnreachableError(f"{text} ({status})", hint=_GONE)
    return SourceError(f"{text} ({status})", hint=_NO_V2 if status == 404 else "")


def _denied(text: str) -> AuthenticationError:
    return AuthenticationError(text, hint="Check the source's token or headers, and what their user may do.")


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

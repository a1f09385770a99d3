"""Values of records, for relations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from drtool.errors import UsageError
from drtool.sources.base import MISSING
from drtool.sources.reading import StreamInfo
from drtool.sources.redis.naming import FUNCTIONS
from drtool.sources.redis.rdb.types import kind_of
from drtool.sources.redis.rdb.values import fields, text
from drtool.sources.redis.records import Entry, entries


def values(stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
    """See ``Source.values``: ``key``; ``value`` of strings; any other path is a field of hashes. Text where it is
    UTF-8, else bytes."""
    if stream.kind == FUNCTIONS or not path:
        raise UsageError(f"{stream.name}: relations cannot look into {path or 'functions'}")
    look: Callable[[Entry], Any] = {"key": _key, "value": _value}.get(path) or _field(path.encode())
    return (look(entry) for entry in entries(chunks))


def _key(entry: Entry) -> Any:
    return _plain(entry.key)


def _value(entry: Entry) -> Any:
    return _plain(text(entry.value)) if kind_of(entry.value[0]) == "string" else MISSING


def _field(name: bytes) -> Callable[[Entry], Any]:
    def look(entry: Entry) -> Any:
        if kind_of(entry.value[0]) != "hash":
            return MISSING
        return next((_plain(field.value) for field in fields(entry.value) if field.name == name), MISSING)

    return look


def _plain(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data

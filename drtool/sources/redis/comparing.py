"""Are two serialised values the same? Sets and hashes come back in another order, small collections in another form."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from operator import attrgetter
from typing import Any

from drtool.sources.base import Compared
from drtool.sources.comparing import TOLD
from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.streams import as_old, stream
from drtool.sources.redis.rdb.types import kind_of
from drtool.sources.redis.rdb.values import elements, fields, members, scores, text
from drtool.sources.redis.records import Entry, count_of, entries, shown


def compare(expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
    """Key by key: expiry and value."""
    count = 0
    differences: list[str] = []
    for wanted, found in zip_longest(entries(expected), entries(restored)):
        count += 0 if wanted is None else count_of(wanted)
        if wanted is None or found is None:
            one, what = (found, "is one too many") if wanted is None else (wanted, "is missing")
            differences.append(f"{shown(one.key)} {what}")
            break
        if wanted.key != found.key:
            missing = wanted.key < found.key
            differences.append(f"{shown(wanted.key)} is missing" if missing else f"{shown(found.key)} is one too many")
            break
        if what := difference(wanted, found):
            differences.append(f"{shown(wanted.key)}: {what}")
            if len(differences) == TOLD:
                break
    return Compared(count, tuple(differences))


def difference(wanted: Entry, found: Entry) -> str:
    """In what two entries of one key differ; empty where in nothing."""
    if wanted.expiry != found.expiry:
        return f"expires at {found.expiry} instead of {wanted.expiry}"
    if wanted.value == found.value or same(wanted.value, found.value):
        return ""
    kinds = [kind_of(one.value[0]) for one in (wanted, found)]
    return "the value differs" if kinds[0] == kinds[1] else f"a {kinds[1]} instead of a {kinds[0]}"


def same(one: bytes, other: bytes) -> bool:
    """Do two values, types and all, mean the same?"""
    if one[0] in types.STREAMS and other[0] in types.STREAMS:
        return _same_streams(one, other)
    return bool(normal(one) == normal(other))


def normal(value: bytes) -> Any:
    """The value in the form in which two that mean the same are equal: members of sets and sorted sets and fields of
    hashes are sorted, and how they are packed is gone. What cannot be looked into stays as it is."""
    kind = kind_of(value[0])
    if kind == "string":
        return kind, text(value)
    if kind == "list":
        return kind, elements(value)
    if kind == "set":
        return kind, sorted(members(value))
    if kind == "sorted set":
        return kind, sorted((member, score.hex()) for member, score in scores(value))
    if kind == "hash" and value[0] != types.HASH_ZIPMAP:
        return kind, sorted(fields(value), key=attrgetter("name"))
    return value


def _same_streams(one: bytes, other: bytes) -> bool:
    """What the older of the two versions has."""
    first, second = stream(one), stream(other)
    if one[0] != other[0]:
        without = types.STREAM in (one[0], other[0])
        first, second = as_old(first, without_7_0=without), as_old(second, without_7_0=without)
    return first == second

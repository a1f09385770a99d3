"""Holding restored records against those of a snapshot, where chunk ids alone do not decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from drtool.sources.base import Compared
from drtool.sources.cutting import Record

#: How many differences are told.
TOLD = 5
_MODULUS = 1 << 256

Records = Callable[[bytes], Iterator[Record]]
"""Takes a chunk apart (``Source.records``)."""

Normalise = Callable[[bytes], bytes]
"""A record in the form in which two that mean the same are the same bytes."""


def compare_identical(expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
    """Byte for byte, however it is cut. Counts no records: whoever needs them takes `compare_in_order`."""
    wanted, found = hashlib.sha256(), hashlib.sha256()
    for digest, chunks in ((wanted, expected), (found, restored)):
        for chunk in chunks:
            digest.update(chunk)
    return Compared(0, () if wanted.digest() == found.digest() else ("the records differ",))


def compare_in_order(
    records: Records, expected: Iterable[bytes], restored: Iterable[bytes], normalise: Normalise = bytes
) -> Compared:
    """Record by record, each in its normal form."""
    count = 0
    differences: list[str] = []
    for wanted, found in zip_longest(_each(records, expected), _each(records, restored)):
        count += 1
        if found is None or wanted is None:
            differences.append(f"record {count} {'is missing' if found is None else 'is one too many'}")
            break
        if wanted[0] != found[0] or normalise(bytes(wanted[1])) != normalise(bytes(found[1])):
            differences.append(f"record {count} differs")
            if len(differences) == TOLD:
                break
    return Compared(count, tuple(differences))


def compare_as_multiset(
    records: Records, expected: Iterable[bytes], restored: Iterable[bytes], normalise: Normalise = bytes
) -> Compared:
    """The same records as often, in whatever order: sums modulo 2**256 of their SHA-256, in constant memory.

    That sum is no proof against somebody who chooses records to collide (Bellare and Micciancio, "A new paradigm for
    collision-free hashing", 1997); it is one against loss and error.
    """
    (wanted, total), (found, count) = (_sum(records, chunks, normalise) for chunks in (expected, restored))
    if total != count:
        return Compared(min(total, count), (f"{count:,} of {total:,} records are there",))
    return Compared(count, () if wanted == found else ("the records differ, taken together in any order",))


def _sum(records: Records, chunks: Iterable[bytes], normalise: Normalise) -> tuple[int, int]:
    total = count = 0
    for _, data in _each(records, chunks):
        total += int.from_bytes(hashlib.sha256(normalise(bytes(data))).digest())
        count += 1
    return total % _MODULUS, count


def _each(records: Records, chunks: Iterable[bytes]) -> Iterator[Record]:
    return (record for chunk in chunks for record in records(chunk))

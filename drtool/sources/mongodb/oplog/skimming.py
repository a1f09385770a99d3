"""Reading over archived entries that nobody looks for, told by their first bytes.

Nearly all of an oplog are inserts, updates and deletions outside of transactions. Of those a search needs a look at
``op`` and ``ns``, which stand at the front (behind ``lsid`` and ``txnNumber`` of a retryable write), and nothing is
taken apart. Whatever looks otherwise is left to be taken apart: commands, and with them all that may hold or end a
transaction, and entries in another order of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from struct import Struct

from drtool.sources.mongodb.oplog.events import WORDS, stream_of

_LENGTH = Struct("<i").unpack_from
_SESSION = b"\x03lsid\0"
_NUMBER = b"\x12txnNumber\0"
_NS = b"\x02ns\0"
_NUMBER_LENGTH = len(_NUMBER) + 8
_OP_LENGTH = len(b"\x02op\0") + 4 + 2


class Skimmer:
    """Picks entries: all that may tell of one of the words `ops` (``insert``, …) about a stream that `matches`."""

    def __init__(self, ops: Set[str], matches: Callable[[str], bool]) -> None:
        self._unwanted = frozenset(_op(letter) for letter, word in WORDS.items() if word not in ops) | {_op("n")}
        self._records = frozenset(map(_op, WORDS)) - self._unwanted
        self._matches = matches
        self._known: dict[bytes, bool] = {}

    def picked(self, chunk: bytes) -> Iterator[bytes]:
        """Those of a chunk (entries back to back), in order."""
        unwanted, records = self._unwanted, self._records
        end, after = len(chunk), 0
        while after < end:
            begin = after
            after += _LENGTH(chunk, begin)[0]
            at = begin + 4
            if chunk[at : at + 6] == _SESSION:
                at += 6 + _LENGTH(chunk, at + 6)[0]
                if chunk[at : at + 11] == _NUMBER:
                    at += _NUMBER_LENGTH
            op = chunk[at : at + _OP_LENGTH]
            if op in unwanted or (op in records and not self._is_about(chunk, at + _OP_LENGTH)):
                continue
            yield chunk[begin:after]

    def _is_about(self, chunk: bytes, at: int) -> bool:
        """Does the element at `at` name a stream that matches, or is it none that names one?"""
        if chunk[at : at + 4] != _NS:
            return True
        namespace = chunk[at + 8 : at + 7 + _LENGTH(chunk, at + 4)[0]]
        known = self._known.get(namespace)
        if known is None:
            known = self._known[namespace] = self._matches(stream_of(namespace.decode()))
        return known


def _op(letter: str) -> bytes:
    """The element ``op`` of that value."""
    return b"\x02op\0" + int.to_bytes(2, 4, "little") + letter.encode() + b"\0"

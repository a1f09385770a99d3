"""Transactions put together from their oplog entries: what became visible when.

A transaction is one ``applyOps``, or a chain of them with ``partialTxn`` whose last one has ``count``; a prepared one
ends with ``prepare`` and waits for commitTransaction or abortTransaction. Nothing of it is visible before its
commit. The entries of a chain name the one before (``prevOpTime``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bson.timestamp import Timestamp

from drtool.errors import SourceError
from drtool.sources.mongodb.oplog.entries import Entry, Operation, opened

Fetch = Callable[[Timestamp], Entry]
"""The entry at a timestamp before those that were fed; raises where it is gone."""


@dataclass(frozen=True, slots=True)
class Visible:
    """Operations that became visible together at ``ts``: ``is_transaction`` where all or none of them did."""

    ts: Timestamp
    term: int
    operations: tuple[Operation, ...]
    is_transaction: bool = False


@dataclass(slots=True)
class Transactions:
    """Feed it every entry in order. `fetch` finds the parts of a chain that lie before the first one fed."""

    fetch: Fetch
    _open: dict[bytes, list[Entry]] = field(default_factory=dict, init=False)

    def feed(self, entry: Entry) -> Visible | None:
        """What became visible with this entry; None where nothing did (yet)."""
        command = entry.operation.command
        if command in ("commitTransaction", "abortTransaction") and entry.session:
            return self._ended(entry, committed=command == "commitTransaction")
        if command != "applyOps":
            return Visible(entry.ts, entry.term, (entry.operation,))
        if not entry.session or entry.is_multi:
            return Visible(entry.ts, entry.term, tuple(opened(entry.operation)))
        flags = entry.flags()
        if flags.get("partialTxn") or flags.get("prepare"):
            if entry.session not in self._open:
                self._open[entry.session] = self._before(entry)
            self._open[entry.session].append(entry)
            return None
        chain = self._open.pop(entry.session, None)
        if chain is None:
            chain = self._before(entry)
        return _visible(entry, [*chain, entry])

    @property
    def open_since(self) -> Timestamp | None:
        """The ts of the first entry of the oldest transaction that is still open; None where there is none."""
        return min((chain[0].ts for chain in self._open.values()), default=None)

    def _ended(self, entry: Entry, *, committed: bool) -> Visible | None:
        chain = self._open.pop(entry.session, None)
        if not committed:
            return None
        return _visible(entry, self._before(entry) if chain is None else chain)

    def _before(self, entry: Entry) -> list[Entry]:
        """The entries of the chain before `entry`, oldest first."""
        chain: list[Entry] = []
        at = entry.previous
        while at is not None:
            before = self.fetch(at)
            if before.ts != at or before.session != entry.session:
                raise SourceError(f"the oplog entry at {at}, part of a transaction, is not the one that was meant")
            chain.append(before)
            at = before.previous
        return chain[::-1]


def _visible(last: Entry, chain: list[Entry]) -> Visible:
    operations = tuple(
        operation for entry in chain for operation in opened(entry.operation) if entry.operation.command == "applyOps"
    )
    return Visible(last.ts, last.term, operations, is_transaction=True)


def visible(entries: Iterator[Entry], fetch: Fetch) -> Iterator[Visible]:
    """What became visible, entry by entry."""
    transactions = Transactions(fetch)
    for entry in entries:
        found = transactions.feed(entry)
        if found is not None:
            yield found

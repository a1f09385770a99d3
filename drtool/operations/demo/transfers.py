"""Money that moves while a backup runs, and the proof that a copy of it is of one instant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

from pymongo.database import Database

from drtool.operations.demo.application import Client, Document, sum_of_balances, transfer
from drtool.operations.demo.steps import Check

#: Between two transfers: the backup is to be disturbed, not starved.
_PAUSE_SECONDS = 0.005
_LEAST = 3


class Transfers:
    """Transfers that a thread makes, one after the other; ``committed`` counts all there ever were."""

    def __init__(self, client: Client, chance: Random, committed: int) -> None:
        self.committed = committed
        self._client, self._chance = client, chance
        self._stop = threading.Event()
        self._going = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, money moves: the first few transfers are committed when the block begins. Raises pymongo's
        errors."""
        with ThreadPoolExecutor(1, thread_name_prefix="transfers") as pool:
            moving = pool.submit(self._move)
            try:
                self._going.wait()
                yield
            finally:
                self._stop.set()
            moving.result()

    def _move(self) -> None:
        first = self.committed
        try:
            while not self._stop.wait(_PAUSE_SECONDS):
                transfer(self._client, self._chance, self.committed + 1, durable=True)
                self.committed += 1
                if self.committed - first == _LEAST:
                    self._going.set()
        finally:
            self._going.set()


def check_instant(copy: Database[Document], total: int, before: int, after: int) -> tuple[int, list[Check]]:
    """Is a restored copy of accounts and ledger of one instant? With the number of its last transfer.

    `total` cents existed all the time; the copy's instant lay between transfers `before` and `after`.
    """
    entries = list(copy.transactions.find({"kind": "transfer"}))
    numbers = sorted(int(entry["number"]) for entry in entries)
    last = numbers[-1] if numbers else 0
    found = sum_of_balances(copy)
    wrong = _unexplained(copy, entries)
    balanced = f"{len(wrong)} balances are not" if wrong else "every balance is"
    return last, [
        Check("sum-of-balances", found == total, f"restored balances add up to {euros(found)} of {euros(total)}"),
        Check("no-half-transfer", not wrong, f"{balanced} its opening balance plus the transfers restored beside it"),
        Check(
            "one-instant",
            numbers == list(range(1, last + 1)) and before <= last <= after,
            f"{len(numbers)} transfers up to number {last};"
            f" {before} were committed when the backup began, {after} when it ended",
        ),
    ]


def _unexplained(copy: Database[Document], entries: list[Document]) -> list[str]:
    """The accounts whose balance is not what opening balance and transfers make it."""
    moved: dict[str, int] = {}
    for entry in entries:
        moved[entry["account"]] = moved.get(entry["account"], 0) - entry["amount"]
        moved[entry["payee"]] = moved.get(entry["payee"], 0) + entry["amount"]
    return [
        str(account["number"])
        for account in copy.accounts.find()
        if account["balance"] != account["opening"] + moved.get(account["number"], 0)
    ]


def euros(cents: int) -> str:
    """As people write it."""
    return f"€ {cents // 100:,}.{cents % 100:02d}"

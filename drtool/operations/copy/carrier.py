"""How one snapshot, or some segments, get to the destination: within a lineage, or into another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from drtool.operations.copy.moving import Shipped
from drtool.repository.archive import Archived
from drtool.repository.chain import Snapshot


class Carrier(Protocol):
    """Made inside a run that is registered at both ends. What it commits can be restored: everything is there before.

    Errors about objects of the source (``RepositoryError``) concern what was to be copied and nothing else; those of a
    store end the run.
    """

    def snapshot(self, snapshot: Snapshot, *, thorough: bool) -> Shipped:
        """Copy a snapshot and commit it. If `thorough`, also what an earlier run is known to have sent is looked up
        again, chunk by chunk."""

    def missing(self, source: str, segments: Iterable[Archived]) -> tuple[list[Archived], list[Archived]]:
        """Those segments of a source's archived log that the destination neither holds nor has removed; and those that
        it holds."""

    def segments(self, segments: Sequence[Archived]) -> Shipped:
        """Copy segments, in order, and commit them."""

    def again(self, segments: Sequence[Archived]) -> Shipped:
        """Look up, chunk by chunk, what the destination still has of segments that it holds, and send the rest."""

    def flush(self) -> None:
        """Store and index what was taken in so far, so that the next run need not do it again."""

    def finish(self) -> None:
        """What comes after everything was copied."""

    def close(self) -> None:
        """Give up threads."""

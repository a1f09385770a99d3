"""What a restore sees in the archived log before it writes anything; made-up entries in a real repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from bson.timestamp import Timestamp

from drtool.errors import OplogTruncatedError
from drtool.operations.pitr.goals import Goal
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.pitr.replaying import rehearse_archive
from drtool.operations.reporting import Silent
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import RestorePlan
from tests.operations.pitr.shelf import LOG, Shelf, history, shelf_in
from tests.sources.oplog.test_replay_window import ending, insert, part


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """One for all of these tests."""
    with shelf_in(tmp_path_factory.mktemp("shelf")) as found:
        yield found


@pytest.mark.parametrize("size", [1, 9])
def test_a_prepared_transaction_at_the_end_of_the_archive(shelf: Shelf, size: int) -> None:
    committed = ending(15, 11, commitTransaction=1, commitTimestamp=Timestamp(12, 5))
    log = [insert(9, "a"), *history(10), part(11, "c", prepare=True), insert(13, "d"), *history(14)]
    _rehearse(shelf, 11, size, *log)
    for second in (12, 13, 14):
        with pytest.raises(OplogTruncatedError, match="prepared at 1970-01-01T00:00:11Z"):
            _rehearse(shelf, second, size, *log)
    for second in (12, 13, 14):
        _rehearse(shelf, second, size, *log, committed)


def _rehearse(shelf: Shelf, second: int, size: int, *log: bytes) -> None:
    goal = Goal((second, 0), f"second {second}")
    base = shelf.base(shelf.archive(log, size=size), goal, 10)
    recovery = Recovery(goal, base, LOG)
    with closing(MongoTarget("mongodb://127.0.0.1:9/")) as target:
        rehearse_archive(recovery, recovery.way(shelf.reader), target, RestorePlan((), marker="m"), Silent())

"""Forking helpers before a run, where there will be something for them to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.operations.backup.remembering import was_read_here
from drtool.operations.budget import Budget
from drtool.sources.base import Source

if TYPE_CHECKING:
    from drtool.operations.backup.intake.helpers import Helpers


@contextmanager
def enlisted(sources: Sequence[Source], job: str, state_dir: Path, budget: Budget) -> Iterator[Helpers | None]:
    """Helpers for a run that reads a source for the first time; to be called before anything else of the run. None
    where no such source can be read by several processes, or there is no memory or no second core for them.

    Later runs read little, or find most of what they read stored already, so that compressing it in advance would be
    in vain.
    """
    able = [source for source in sources if source.shares_views and not was_read_here(state_dir, job, source.name)]
    if not able or budget.helpers == 0:
        yield None
        return
    # Here: it takes numpy and time.
    from drtool.operations.backup.intake.helpers import Helpers

    with closing(Helpers(budget.helpers)) as helpers:
        yield helpers

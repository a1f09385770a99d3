"""Fixing the instants of several sources as close together as the systems allow, and how far apart they came to lie."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from drtool.errors import SourceError
from drtool.sources.reading import Prepared, View


@dataclass(frozen=True, slots=True)
class Frozen:
    """A view, and when by this host's clock the call began and ended that fixed its instant."""

    view: View
    began: datetime
    ended: datetime

    @property
    def instant(self) -> datetime:
        """The view's instant by this host's clock: the moment of that call which is nearest to what the view says.

        Systems have clocks of their own, and some tell seconds only; but an instant is fixed while the call lasts.
        """
        return min(max(self.view.instant, self.began), self.ended)


def freeze_together(prepared: Sequence[Prepared]) -> list[Frozen | SourceError]:
    """Freeze all at once, each in a thread of its own, so that a slow one keeps no other waiting.

    What is not frozen has its error instead. On any other error, the views that there are already are closed.
    """
    if len(prepared) == 1:
        return [_freeze(prepared[0])]
    futures: list[Future[Frozen | SourceError]] = []
    try:
        with ThreadPoolExecutor(max(1, len(prepared)), thread_name_prefix="freeze") as pool:
            futures += [pool.submit(_freeze, one) for one in prepared]
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            found = None if future.cancelled() or future.exception() is not None else future.result()
            if isinstance(found, Frozen):
                found.view.close()
        raise


def distance(frozen: Sequence[Frozen]) -> float | None:
    """The largest distance between the instants in seconds; None where there is one only."""
    instants = [one.instant for one in frozen]
    return (max(instants) - min(instants)).total_seconds() if len(instants) > 1 else None


def _freeze(prepared: Prepared) -> Frozen | SourceError:
    began = datetime.now(UTC)
    try:
        view = prepared.freeze()
    except SourceError as error:
        return error
    return Frozen(view, began, max(began, datetime.now(UTC)))

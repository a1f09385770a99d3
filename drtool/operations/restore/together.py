"""Restoring several sources of a snapshot: all are looked at before the first is written, then one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from drtool.errors import DrtoolError, PartialError, UsageError
from drtool.operations.budget import Budget
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.reporting import Reporter
from drtool.operations.restore.allotting import Asked, allot
from drtool.operations.restore.ordering import restore_order
from drtool.operations.restore.prospects import Prospect, RestoreResult, require_free
from drtool.operations.restore.restore import Restore
from drtool.repository.chain import Snapshot
from drtool.repository.repository import Repository
from drtool.sources.base import Source


class Together:
    """One restore of `sources` of a snapshot, of which `references` tell which (the first) refers to which.

    ``UsageError`` for what was asked and makes no sense for them. A `recovery` is that of the only source. ``left_out``
    says why nothing is restored of some of them; ``sources`` are the others, in order.
    """

    def __init__(
        self,
        repository: Repository,
        snapshot: Snapshot,
        sources: Sequence[Source],
        asked: Asked,
        budget: Budget,
        reporter: Reporter,
        *,
        references: Iterable[tuple[str, str]] = (),
        recovery: Recovery | None = None,
    ) -> None:
        self._reporter = reporter
        self._asked = asked
        by_name = {source.name: source for source in sources}
        wishes, self.left_out = allot(repository, snapshot, sources, asked, log_follows=recovery is not None)
        with contextlib.ExitStack() as stack:
            self._restores: dict[str, Restore] = {}
            self.sources: list[Source] = []
            for name in restore_order(list(wishes), references):
                restore = Restore(repository, snapshot, by_name[name], wishes[name], budget, reporter, recovery)
                stack.callback(restore.close)
                self._restores[name] = restore
                self.sources.append(by_name[name])
            self._opened = stack.pop_all()

    def prospects(self) -> list[Prospect]:
        """What is going to be restored, in order; see ``Restore.prospect``. Writes nothing.

        ``UsageError`` where two sources would be restored to one place under one name.
        """
        prospects = [restore.prospect() for restore in self._restores.values()]
        seen: dict[tuple[str, str, str], str] = {}
        for prospect in prospects:
            for item in prospect.streams:
                place = (prospect.origin.type, prospect.inspection.target, item.name)
                if place in seen:
                    raise UsageError(
                        f"{seen[place]} and {prospect.source} would both be restored to {prospect.inspection.target} as"
                        f" {item.name}",
                        hint=f"Restore one after the other (--source), or rename: --rename {prospect.source}:OLD=NEW",
                    )
                seen[place] = prospect.source
        for restore in self._restores.values() if self._asked.in_place else ():
            restore.let_go()
        return prospects

    def run(self, prospects: Sequence[Prospect]) -> Iterator[RestoreResult]:
        """Restore them; each result comes when its source is done.

        ``TargetNotEmptyError`` where something is in the way of any of them: nothing was written then.
        ``PartialError`` where one fails after others came back.
        """
        for prospect in prospects:
            require_free(prospect)
        done: list[str] = []
        for prospect in prospects:
            try:
                result = self._restores[prospect.source].run(prospect)
            except DrtoolError as error:
                if not done:
                    raise
                raise self._partly(error, done, prospects) from error
            except BaseException:
                if done:
                    self._reporter.warn(f"{_standing(done, prospects)}. {self._going_on(done, prospects)}")
                raise
            done.append(prospect.source)
            yield result

    def close(self) -> None:
        """Release the targets and readers."""
        self._opened.close()

    def _partly(self, error: DrtoolError, done: Sequence[str], prospects: Sequence[Prospect]) -> PartialError:
        failed = prospects[len(done)].source
        return PartialError(
            f"{_standing(done, prospects)}: {error.message}",
            hint=" ".join(filter(None, [error.hint, self._going_on(done, prospects)])),
            causes={failed: error},
        )

    def _going_on(self, done: Sequence[str], prospects: Sequence[Prospect]) -> str:
        if self._asked.in_place:
            return "The same command begins anew with all of them."
        left = " ".join(f"--source {prospect.source}" for prospect in prospects[len(done) :])
        return f"Go on with the same command and {left}."


def _standing(done: Sequence[str], prospects: Sequence[Prospect]) -> str:
    failed, *others = [prospect.source for prospect in prospects[len(done) :]]
    were = "was" if len(done) == 1 else "were"
    untouched = f", {', '.join(others)} {'was' if len(others) == 1 else 'were'} not begun" if others else ""
    return f"{', '.join(done)} {were} restored, {failed} is incomplete{untouched}"

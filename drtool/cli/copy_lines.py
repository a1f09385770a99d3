"""What ``drtool copy`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drtool.cli.units import counted, duration, size
from drtool.errors import DrtoolError, PartialError

if TYPE_CHECKING:
    from drtool.cli.output import Output
    from drtool.operations.copy.results import CopiedLog, CopiedSnapshot, Summary
    from drtool.operations.reporting import Reporter


class Lines:
    """Shows what became of each snapshot and log, and adds it up."""

    def __init__(self, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._copied: list[str] = []
        self._missing: list[str] = []
        self._failed: dict[str, DrtoolError] = {}
        self._good = self._sent = self._bytes = self._segments = 0
        self._totals()

    @property
    def figures(self) -> dict[str, int]:
        """What is kept of it in the run's record."""
        found = {"copied": len(self._copied), "failed": len(self._failed), "chunks": self._sent}
        return {**found, "bytes": self._bytes, "segments": self._segments}

    def tell(self, one: CopiedSnapshot | CopiedLog) -> None:
        """One snapshot or log."""
        from drtool.operations.copy.results import CopiedSnapshot

        self._sent += one.shipped.sent
        self._bytes += one.shipped.bytes
        if isinstance(one, CopiedSnapshot):
            self._snapshot(one)
        else:
            self._log(one)
        self._totals()

    def finish(self, summary: Summary) -> None:
        """The whole run; raises where something could not be copied."""
        output = self._output
        output.result(there=summary.there, removed=summary.removed)
        if not (self._good or self._failed):
            output.text(f"nothing to copy: {counted(summary.there, 'snapshot')} there already")
        if summary.removed:
            output.text(f"{counted(summary.removed, 'snapshot')} left out: retention removed them there")
        if self._failed:
            first = next(iter(self._failed.values()))
            if not (self._good or summary.there):
                raise first
            raise PartialError(
                f"not copied: {', '.join(self._failed)}; everything else is there",
                hint=f"Why is told above. {first.hint}".strip(),
            )
        if summary.problems:
            raise PartialError(f"everything that can be read is there, but: {summary.problems[0].message}")

    def _snapshot(self, one: CopiedSnapshot) -> None:
        from drtool.operations.copy.results import State

        shipped, problem = one.shipped, one.problem
        self._output.line(
            "copy",
            snapshot=one.snapshot,
            job=one.job,
            ok=problem is None,
            state=one.state,
            chunks={"total": shipped.total, "sent": shipped.sent},
            bytes=shipped.bytes,
            seconds=round(one.seconds, 3),
            problems=[_described(problem)] if problem is not None else [],
        )
        if problem is not None:
            self._failed[one.snapshot] = problem
            self._output.text(f"✗ {one.snapshot} ({one.job}): {problem.message}")
            return
        self._good += 1
        figures = f"{shipped.sent:,} of {counted(shipped.total, 'chunk')}, {size(shipped.bytes)}"
        if one.state is State.COPIED:
            self._copied.append(one.snapshot)
            self._output.ok(f"{one.snapshot} ({one.job}): {figures} sent in {duration(one.seconds)}")
        elif one.state is State.MISSING:
            self._missing.append(one.snapshot)
            self._output.text(f"{one.snapshot} ({one.job}): would send {figures}")
        else:
            self._output.text(f"{one.snapshot} ({one.job}): all of it is there")

    def _log(self, one: CopiedLog) -> None:
        self._segments += one.sent
        self._output.line(
            "log",
            source=one.source,
            segments={"sent": one.sent, "there": one.there},
            bytes=one.shipped.bytes,
            problems=[_described(problem) for problem in one.problems],
        )
        if one.sent:
            self._output.text(f"log of {one.source}: {counted(one.sent, 'segment')}, {size(one.shipped.bytes)}")
        elif one.shipped.bytes:
            self._output.text(f"log of {one.source}: {size(one.shipped.bytes)} that the segments there lacked")
        for problem in one.problems:
            self._failed.setdefault(f"the log of {one.source}", problem)
            self._reporter.warn(problem.message)

    def _totals(self) -> None:
        self._output.result(
            copied=self._copied,
            missing=self._missing,
            failed=list(self._failed),
            chunks=self._sent,
            bytes=self._bytes,
            segments=self._segments,
        )


def _described(problem: DrtoolError) -> dict[str, str]:
    return {"kind": problem.kind, "object": problem.object, "message": problem.message}

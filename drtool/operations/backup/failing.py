"""Sources of a job that cannot be read while others can: those are read all the same, but there is no snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from drtool.errors import ConfigError, DrtoolError, PartialError, SourceError
from drtool.operations.reporting import Reporter

_KEPT = "What was read of the other sources is stored: the next run need not store it again."


class Failures:
    """Collects them. Of a job with a single source there is nothing else to read: its error is raised as it comes."""

    def __init__(self, job: str, sources: Sequence[str], reporter: Reporter) -> None:
        self._job, self._sources, self._reporter = job, tuple(sources), reporter
        self._errors: dict[str, DrtoolError] = {}

    def __bool__(self) -> bool:
        return bool(self._errors)

    def __contains__(self, source: str) -> bool:
        return source in self._errors

    @contextlib.contextmanager
    def of(self, source: str) -> Iterator[None]:
        """A block that does something with a source. Where it fails the block is left, and the error is told."""
        try:
            yield
        except (SourceError, ConfigError) as error:
            if len(self._sources) == 1:
                raise
            self._errors[source] = error
            self._reporter.warn(
                f"{source} cannot be read, so this run ends without a snapshot: {error.message}"
                + (f" ({error.hint})" if error.hint else "")
            )
            if len(self._errors) == len(self._sources):
                raise self._all() from error

    def refuse(self) -> None:
        """``PartialError`` where a source failed: nothing is to be committed then."""
        if self._errors:
            raise PartialError(
                f"{self._job}: no snapshot was taken, because {self._told()}",
                hint=" ".join(filter(None, [*(error.hint for error in self._errors.values()), _KEPT])),
                causes=self._errors,
            )

    def _all(self) -> SourceError:
        first = next(iter(self._errors.values()))
        return SourceError(f"{self._job}: none of its sources can be read: {self._told()}", hint=first.hint)

    def _told(self) -> str:
        reasons = [f"{name}: {error.message}" for name, error in self._errors.items()]
        return ("source " if len(reasons) == 1 else "sources ") + "; ".join(reasons)

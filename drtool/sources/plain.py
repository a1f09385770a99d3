"""What most kinds of source have in common: no log of their own, no accounts, no digest, no way to tell what changed.

Classes to inherit from; what a kind can do better, it overrides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drtool.errors import UsageError
from drtool.sources.base import Compared, Lack
from drtool.sources.comparing import compare_identical
from drtool.sources.reading import WHOLE, Base, Changes, KeyRange, StreamInfo

if TYPE_CHECKING:
    from drtool.sources.exporting import ExportItem
    from drtool.sources.log import Log
    from drtool.sources.restoring import Loaded, Rehearsed, Replayed, RestoreItem, RestorePlan, Stop, StreamDigest


class PlainSource:
    """Of ``drtool.sources.base.Source`` what needs no system."""

    name: str
    type: str
    shares_views: bool = False

    def lacks(self) -> Sequence[Lack]:
        """See ``Source.lacks``: what is missing shows itself when it is read."""
        return ()

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:  # noqa: ARG002 - the contract's
        """See ``Source.restore_lacks``."""
        return ()

    def roles(self) -> Mapping[str, str]:
        """See ``Source.roles``."""
        return {}

    def log(self) -> Log | None:
        """See ``Source.log``."""
        return None

    def remember_in(self, directory: Path) -> None:
        """See ``Source.remember_in``: nothing is remembered."""

    def name_of_restored(self, stream: str, suffix: str) -> str:
        """``documents`` → ``documents_<suffix>``; what follows a ``#`` stays."""
        name, mark, part = stream.partition("#")
        return f"{name}_{suffix}{mark}{part}"

    def matches(self, stream: str, pattern: str) -> bool:
        """A name or a glob; what follows a ``#`` belongs to what is before it."""
        return fnmatchcase(stream.partition("#")[0], pattern)

    def goes_along(self, stream: str, pattern: str) -> bool:  # noqa: ARG002 - the contract's
        """See ``Source.goes_along``: each stream stands for itself."""
        return False

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """The very name; what follows a ``#`` stays."""
        name, mark, part = stream.partition("#")
        return f"{new}{mark}{part}" if name == old else None

    def left_out(
        self,
        streams: Mapping[str, str],  # noqa: ARG002 - the contract's
        *,
        only: Sequence[str],  # noqa: ARG002
        users: bool | None,  # noqa: ARG002
        elsewhere: bool,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """See ``Source.left_out``: nothing is."""
        return {}

    def digest(self, definition: bytes) -> StreamDigest | None:  # noqa: ARG002 - the contract's
        """See ``Source.digest``."""
        return None

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:  # noqa: ARG002
        """See ``Source.compare``: byte for byte."""
        return compare_identical(expected, restored)

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """See ``Source.regressions``."""
        return ()

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:  # noqa: ARG002
        """See ``Source.values``."""
        raise UsageError(f"{stream.name}: relations cannot look into sources of type {self.type}")

    def close(self) -> None:
        """Nothing is held between calls."""


class PlainView:
    """Of ``drtool.sources.reading.View`` what a view has that is read whole each time."""

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:  # noqa: ARG002 - the contract's
        """See ``View.split``: one part."""
        return (WHOLE,)

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:  # noqa: ARG002
        """See ``View.changes``."""
        return Changes(full_because="the source cannot tell what changed")

    def overlay(self, since: Mapping[str, Any]) -> StreamInfo:  # noqa: ARG002
        """Never asked for: nothing was taken over from another instant."""
        raise AssertionError

    def cancel(self) -> None:
        """See ``View.cancel``: nobody waits."""


class PlainTarget:
    """Of ``drtool.sources.restoring.Target`` what belongs to systems with a log of their own, or with a digest."""

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """Never called: no stream here is completed by another."""
        raise AssertionError((item, chunks, beside))

    def rehearse(
        self,
        plan: RestorePlan,
        since: Mapping[str, Any],
        entries: Iterable[bytes],
        stop: Stop | None,
        others: Sequence[StreamInfo] = (),
    ) -> Rehearsed:
        """Never called: there is no log."""
        raise AssertionError((plan, since, entries, stop, others))

    def replay(
        self, plan: RestorePlan, since: Mapping[str, Any], entries: Iterable[bytes], stop: Stop | None
    ) -> Replayed:
        """Never called: there is no log."""
        raise AssertionError((plan, since, entries, stop))

    def digests(self, plan: RestorePlan) -> Mapping[str, str]:  # noqa: ARG002 - the contract's
        """See ``Target.digests``: the system has none."""
        return {}


class PlainExporter:
    """Of ``drtool.sources.exporting.Exporter`` what layouts without joined streams share."""

    def write_joined(
        self, item: ExportItem, chunks: Iterable[bytes], beside: Sequence[tuple[ExportItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """Never called: no stream here is completed by another."""
        raise AssertionError((item, chunks, beside))

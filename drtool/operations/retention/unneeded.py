"""What goes with snapshots: archived log that nothing leads into any more, and evidence of what is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drtool.errors import DamagedObjectError, TamperedError, WrongKeyError
from drtool.repository.archive import Archived, open_segment
from drtool.repository.chain import Snapshot
from drtool.repository.evidence import EVIDENCE
from drtool.repository.levels import Level
from drtool.repository.manifests import object_hash
from drtool.repository.removals import Finding
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.segments import OPLOG, At, SegmentName, source_id
from drtool.repository.wire import decode_json


@dataclass(frozen=True, slots=True)
class Need:
    """The entries of a source's log from ``since`` through ``until`` (None: and all that follow) are needed."""

    since: At
    until: At | None = None

    def includes(self, name: SegmentName) -> bool:
        """Does the segment hold something of it? What ends where it begins does: that entry may begin a transaction."""
        return name.end >= self.since and (self.until is None or name.start < self.until)


def unneeded_segments(
    repository: Repository,
    sources: Collection[str],
    kept: Iterable[Snapshot],
    windows: Mapping[str, datetime],
    doubtful: Collection[str] = (),
) -> tuple[Archived, ...]:
    """The segments of `sources` that nothing which is kept needs. `windows` are, by source, since when any moment is to
    be restorable; of the others that is since the oldest snapshot. On snapshots that are `doubtful` (by id) no window
    rests.

    What cannot be judged stays: sources without a snapshot that says where its replay begins, segments that cannot be
    read, and the newest one of each timeline, after which archiving goes on.
    """
    candidates: list[str] = []
    needed = _needs(kept, windows, doubtful)
    for source, needs in ((name, needed[name]) for name in sorted(needed.keys() & set(sources))):
        names = _segments(repository, source)
        newest = {max(group, key=lambda name: (name.end, name.start)) for group in _by_timeline(names)}
        candidates += [str(n) for n in names if n not in newest and not any(need.includes(n) for need in needs)]
    return tuple(_opened(repository, sorted(candidates)))


def evidence_of(repository: Repository, gone: Collection[str]) -> tuple[Finding, ...]:
    """The evidence about manifests with these hashes, but for trial restores, which are the record that restoring was
    rehearsed, and each signer's newest, after which the next one is numbered."""
    if not gone:
        return ()
    newest: dict[bytes, tuple[int, str]] = {}
    found: dict[str, Finding] = {}
    for name, data in repository.listing(EVIDENCE):
        if not isinstance(data, bytes):
            continue
        try:
            opened = repository.open_object(Kind.EVIDENCE, name, data)
            fields = decode_json(opened.payload, name)
            number, manifest, level = int(fields["number"]), fields["manifest"], fields["level"]
        except (DamagedObjectError, TamperedError, WrongKeyError, KeyError, ValueError, TypeError):
            continue  # not understood, so it stays
        newest[opened.signer] = max((number, name), newest.get(opened.signer, (0, "")))
        if manifest in gone and level != Level.RESTORED.label:
            found[name] = Finding(name.removeprefix(EVIDENCE), object_hash(data))
    last = {name for _, name in newest.values()}
    return tuple(one for name, one in sorted(found.items()) if name not in last)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A snapshot's place in a source's log: what it brings back, where replay begins, until where it was read (None:
    nothing was read later than ``instant``), and whether a way to later moments may rest on it."""

    instant: datetime
    since: At
    until: At | None
    is_firm: bool

    def leads_to(self, moment: datetime) -> bool:
        """Does it bring the source back as it was then, with the log?"""
        return self.is_firm and self.instant <= moment and (self.until is None or self.until[0] < moment.timestamp())


def _needs(
    kept: Iterable[Snapshot], windows: Mapping[str, datetime], doubtful: Collection[str]
) -> dict[str, list[Need]]:
    """What is needed of each source's log (docs/format.md, "Segments")."""
    anchors: dict[str, list[_Anchor]] = defaultdict(list)
    for snapshot in kept:
        for source in snapshot.manifest.sources:
            since = _since(source.point)
            if since is not None:
                instant, until = datetime.fromisoformat(source.instant), _place(source.point.get("read_until"))
                anchors[source.name].append(_Anchor(instant, since, until, snapshot.id not in doubtful))
    return {source: list(_of_source(found, windows.get(source))) for source, found in anchors.items()}


def _of_source(anchors: Sequence[_Anchor], window: datetime | None) -> Iterator[Need]:
    before = [one.instant for one in anchors if window is not None and one.leads_to(window)]
    begins = max(before, default=min(one.instant for one in anchors))
    yield Need(min(one.since for one in anchors if one.instant >= begins))
    for one in anchors:
        # Some streams of it are whole only when taken a little further.
        if one.instant < begins and one.until is not None:
            yield Need(one.since, one.until)


def _since(point: Mapping[str, Any]) -> At | None:
    """Where replay begins, of a point that has a place in a log; nothing before it is needed."""
    inner = point.get("overlay_since", point)
    return _place(inner.get("replay_from")) if isinstance(inner, Mapping) else None


def _place(value: object) -> At | None:
    if not isinstance(value, Sequence) or len(value) != 2 or not all(type(part) is int for part in value):
        return None
    return value[0], value[1]


def _segments(repository: Repository, source: str) -> list[SegmentName]:
    names = []
    for info in repository.storage.list(f"{OPLOG}{source_id(repository.keyring, source)}/"):
        try:
            names.append(SegmentName.parse(info.name))
        except DamagedObjectError:
            continue  # no segment: not retention's to remove
    return names


def _by_timeline(names: Iterable[SegmentName]) -> Iterable[list[SegmentName]]:
    groups: dict[str, list[SegmentName]] = defaultdict(list)
    for name in names:
        groups[name.timeline].append(name)
    return groups.values()


def _opened(repository: Repository, names: Sequence[str]) -> Iterator[Archived]:
    for name, data in repository.fetch(names):
        if isinstance(data, bytes):
            try:
                yield open_segment(repository, name, data)
            except (DamagedObjectError, TamperedError, WrongKeyError):
                continue  # not understood, so it stays

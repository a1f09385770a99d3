"""The archived log of a source: its timelines, what they reach without a gap, and whether their chains are whole."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drtool.errors import (
    DamagedObjectError,
    DrtoolError,
    MissingObjectError,
    RolledBackError,
    TamperedError,
    UnknownSignerError,
    WrongKeyError,
)
from drtool.repository.chain import follow_removals, holes
from drtool.repository.going import going
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.segments import OPLOG, At, Position, Segment, SegmentName, revocation_chain, source_id
from drtool.repository.state import Head

Chain = tuple[str, str, str]
"""Repository of origin, signer, timeline: all hex."""
Removed = Mapping[tuple[str, int], set[str]]
"""The hashes of the segments that retention removed, by timeline and number (each signer has its own numbers)."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A stored segment: its manifest, the public key that signed it, its object's hash (hex)."""

    segment: Segment
    signer: bytes
    hash: str

    @property
    def chain(self) -> Chain:
        """The chain that it belongs to."""
        return self.segment.repository, self.signer.hex(), self.segment.timeline

    @property
    def head(self) -> Head:
        """What a host remembers of it."""
        segment = self.segment
        word = revocation_chain(segment.source_id, segment.timeline)
        return Head(segment.repository, self.signer.hex(), word, segment.number, self.hash, segment.name)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Segments that follow each other without a gap, in order; at least one."""

    segments: tuple[Archived, ...]

    @property
    def start(self) -> Position:
        """The first entry is after this one."""
        return self.segments[0].segment.start

    @property
    def end(self) -> Position:
        """The last entry."""
        return self.segments[-1].segment.end

    @property
    def timeline(self) -> str:
        """The timeline that it is of."""
        return self.segments[0].segment.timeline

    def within(self, since: At, until: At) -> tuple[Archived, ...]:
        """The segments that hold an entry with `since` <= place <= `until`."""
        return tuple(
            one for one in self.segments if one.segment.end.at >= since and one.segment.start.at < max(until, since)
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """One history of a source: its stretches in order; between two of them there is a gap."""

    id: str
    stretches: tuple[Stretch, ...]

    @property
    def newest(self) -> Archived:
        """Its last segment."""
        return self.stretches[-1].segments[-1]

    def gaps(self) -> list[tuple[Position, Position]]:
        """From the last entry before each gap to the place after which the archive goes on."""
        pairs = zip(self.stretches, self.stretches[1:], strict=False)
        return [(before.end, after.start) for before, after in pairs]


@dataclass(frozen=True, slots=True)
class Archive:
    """What is archived of a source: timelines, the current one last, and what is wrong: an error each.

    ``lost`` are segments that are known by name only: their objects cannot be read, or are gone. What was signed by
    somebody whom the root did not allow is among the problems, and counts for nothing.
    """

    source: str
    timelines: tuple[Timeline, ...]
    problems: tuple[DrtoolError, ...]
    lost: tuple[SegmentName, ...] = ()


def read_archive(repository: Repository, source: str) -> Archive:
    """Every segment of a source, each checked by itself and in its chain.

    Remembers the heads of chains that are whole. Nothing is raised for a bad object: it is among the problems.
    """
    sid = source_id(repository.keyring, source)
    problems: list[DrtoolError] = []
    lost: list[str] = []
    # Before the listing: what another process of this host archives meanwhile is not missed.
    heads = repository.state.heads()
    found = list(_read(repository, repository.listing(f"{OPLOG}{sid}/"), problems, lost))
    removed = _removed(repository, problems)
    places = ((one, (one.segment.timeline, one.segment.number)) for one in found)
    told = {one.segment.name for one, place in places if one.hash in removed.get(place, ())}
    leaving = going(repository, f"{OPLOG}{sid}/", told)
    found = [one for one in found if one.segment.name not in leaving]
    remembered = {
        (head.origin, head.signer, head.job.rpartition("/")[2]): head
        for head in heads
        if head.job.startswith(f"{OPLOG}{sid}/")
        # What comes after the place where a revocation ends a chain is not missed.
        and repository.document.accepts(bytes.fromhex(head.signer), head.job, head.number, head.hash)
    }
    chains: dict[Chain, list[Archived]] = defaultdict(list)
    for one in found:
        chains[one.chain].append(one)
    for key in sorted({*chains, *remembered}):
        wrong = list(
            _chain_problems(source, key, chains[key], removed, remembered.get(key), is_own=key[0] == repository.id)
        )
        problems += wrong
        lost += [remembered[key].snapshot for error in wrong if isinstance(error, RolledBackError)]
        if not wrong and chains[key]:
            repository.state.saw_heads([max(chains[key], key=lambda one: one.segment.number).head])
    return Archive(source, timelines(found), tuple(problems), tuple(_parsed(lost)))


def open_segment(repository: Repository, name: str, data: bytes) -> Archived:
    """A segment object of this name, checked by itself."""
    SegmentName.parse(name)
    opened = repository.open_object(Kind.SEGMENT, name, data)
    segment = Segment.decode(opened.payload, name)
    hash_ = object_hash(data)
    word = revocation_chain(segment.source_id, segment.timeline)
    if not repository.document.accepts(opened.signer, word, segment.number, hash_):
        raise TamperedError(
            f"{name} was signed by {repository.document.name_of(opened.signer)} after its key had been revoked"
        )
    return Archived(segment, opened.signer, hash_)


@dataclass(frozen=True, slots=True)
class Ends:
    """Where archiving stands: ``last`` is the newest segment of the current timeline, whoever wrote it; ``number`` and
    ``hash`` are this signer's last one in that timeline (0 and None before its first). ``begun`` is after which place
    it holds all without a gap, by what names say."""

    last: Archived | None
    number: int = 0
    hash: str | None = None
    begun: At = (0, 0)


def read_ends(repository: Repository, source: str) -> Ends:
    """Where archiving goes on. Reads a few objects only, by what names say, however many segments there are.

    A segment that cannot be read is passed over, so that what it should hold is archived again.
    """
    sid = source_id(repository.keyring, source)
    by_timeline: dict[str, list[str]] = defaultdict(list)
    for info in repository.storage.list(f"{OPLOG}{sid}/"):
        by_timeline[info.name.split("/")[2]].append(info.name)
    newest: list[Archived] = []
    for names in by_timeline.values():
        names.sort(key=lambda name: name.rpartition("-")[2], reverse=True)
        newest += _first(_read(repository, _fetched(repository, names, 1), [], []))
    if not newest:
        return Ends(None)
    last = max(newest, key=recency)
    names = by_timeline[last.segment.timeline]
    return Ends(last, *_own(repository, last, names), _begun(last.segment, names))


def _begun(last: Segment, names: Iterable[str]) -> At:
    begun = last.start.at
    for name in sorted(_parsed(names), key=lambda name: name.end, reverse=True):
        if name.end < begun:
            break
        if name.end == begun:
            begun = name.start
    return begun


def recency(one: Archived) -> tuple[datetime, At]:
    """Orders segments by when they were written."""
    return datetime.fromisoformat(one.segment.created), one.segment.end.at


def _own(repository: Repository, last: Archived, names: Sequence[str]) -> tuple[int, str | None]:
    chain = (repository.id, repository.signer.public.hex(), last.segment.timeline)
    word = last.head.job
    remembered = [h for h in repository.state.heads() if (h.origin, h.signer, h.job) == (*chain[:2], word)]
    number, hash_ = max(((head.number, head.hash) for head in remembered), default=(0, None))
    if last.chain == chain:
        found: list[Archived] = [last]
    elif remembered:
        found = []
    else:  # this host has no memory, or has never written here
        found = _first(one for one in _read(repository, _fetched(repository, names, 16), [], []) if one.chain == chain)
    if found and found[0].segment.number > number:
        return found[0].segment.number, found[0].hash
    return number, hash_


def _first(found: Iterable[Archived]) -> list[Archived]:
    return [one for one, _ in zip(found, range(1), strict=False)]


def _read(
    repository: Repository,
    objects: Iterable[tuple[str, bytes | DrtoolError | None]],
    problems: list[DrtoolError],
    lost: list[str],
) -> Iterator[Archived]:
    """The segments among these objects, in order, that can be read; the errors of the others, and their names in
    `lost`, unless they never counted."""
    for name, data in objects:
        if isinstance(data, DrtoolError):
            problems.append(data)
            lost.append(name)
            continue
        if data is None:
            continue
        try:
            yield open_segment(repository, name, data)
        except UnknownSignerError as error:
            problems.append(error.about(name))
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
            lost.append(name)


def _fetched(
    repository: Repository, names: Sequence[str], at_once: int
) -> Iterator[tuple[str, bytes | DrtoolError | None]]:
    for start in range(0, len(names), at_once):
        yield from repository.fetch(names[start : start + at_once])


def _parsed(names: Iterable[str]) -> Iterator[SegmentName]:
    for name in names:
        with contextlib.suppress(DamagedObjectError):  # what lies there under another name is among the problems
            yield SegmentName.parse(name)


def timelines(found: Iterable[Archived]) -> tuple[Timeline, ...]:
    """The timelines that these segments make, the current one last."""
    by_timeline: dict[str, list[Archived]] = defaultdict(list)
    for one in found:
        by_timeline[one.segment.timeline].append(one)
    made = [Timeline(id_, stretches(segments)) for id_, segments in by_timeline.items()]
    return tuple(sorted(made, key=lambda timeline: max(recency(one) for one in by_timeline[timeline.id])))


def stretches(segments: Iterable[Archived]) -> tuple[Stretch, ...]:
    """Backwards from the newest: whoever archives goes on at an end that is there, so the segments on that way join
    exactly, and those beside it (of a second host) hold nothing else."""
    stretches: list[list[Archived]] = []
    for one in sorted(segments, key=lambda one: (one.segment.end.at, one.segment.start.at), reverse=True):
        if not stretches or one.segment.end.at < stretches[-1][-1].segment.start.at:
            stretches.append([one])
        elif one.segment.end.at == stretches[-1][-1].segment.start.at:
            stretches[-1].append(one)
    return tuple(Stretch(tuple(reversed(stretch))) for stretch in reversed(stretches))


def _removed(repository: Repository, problems: list[DrtoolError]) -> Removed:
    removed: dict[tuple[str, int], set[str]] = defaultdict(set)

    def take(fields: Mapping[str, Any]) -> None:
        for entry in fields.get("segments", ()):
            timeline = SegmentName.parse(str(entry["segment"])).timeline
            removed[timeline, int(entry["number"])].add(str(entry["hash"]))

    follow_removals(repository, take, problems)
    return removed


def _chain_problems(
    source: str, key: Chain, segments: Sequence[Archived], removed: Removed, remembered: Head | None, *, is_own: bool
) -> Iterator[DrtoolError]:
    """As for manifests (docs/format.md, "Chains")."""
    by_number: dict[int, list[Archived]] = defaultdict(list)
    for one in segments:
        by_number[one.segment.number].append(one)
    gone = {number: hashes for (timeline, number), hashes in removed.items() if timeline == key[2]}
    newest = max(by_number, default=0)
    if remembered is not None and remembered.number > max(newest, *gone, 0):
        yield RolledBackError(
            f"the archived log of {source}: this host has seen {remembered.snapshot} (number {remembered.number}),"
            " which is gone without an announced removal"
        )
    elif remembered is not None and any(one.hash != remembered.hash for one in by_number.get(remembered.number, [])):
        yield TamperedError(f"{remembered.snapshot} is not the one that this host has seen")
    # What was copied here from elsewhere need not be all that was there.
    for first, last in holes({*by_number, *gone}, newest) if is_own else ():
        which = f"number {first} is" if first == last else f"numbers {first} to {last} are"
        yield MissingObjectError(f"the archived log of {source}: segment {which} gone without an announced removal")
    for number, found in sorted(by_number.items()):
        if len(found) > 1:
            names = ", ".join(one.segment.name for one in found)
            yield TamperedError(f"{len(found)} segments claim number {number} of one chain: {names}")
        before = {one.hash for one in by_number.get(number - 1, ())} | gone.get(number - 1, set())
        for one in found:
            if (before and one.segment.previous not in before) or (number == 1) != (one.segment.previous is None):
                yield TamperedError(f"{one.segment.name} does not follow the segment before it")
            if one.hash in gone.get(number, ()):
                yield TamperedError(f"{one.segment.name} was removed by retention, and somebody put it back")

"""Verifying the archived log of each source: its chains, and what its segments need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from drtool.errors import DrtoolError, RepositoryError, RolledBackError
from drtool.operations.contents import Listing, Lookup, Need, Problem, needs_below
from drtool.operations.reporting import Reporter
from drtool.operations.verify.distrusting import distrust
from drtool.operations.verify.inspecting import Sample, inspect_packs
from drtool.operations.verify.surroundings import Surroundings
from drtool.repository.archive import Archive, open_segment, read_archive
from drtool.repository.levels import Level
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.segments import OPLOG, source_id


@dataclass(slots=True)
class LogChecked:
    """What verifying one source's archived log showed. ``size`` is the bytes of packs that were read."""

    source: str
    segments: int = 0
    packs: int = 0
    chunks: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Was nothing found?"""
        return not self.problems


class LogCheck:
    """Verifies archived logs to a level, as far as a snapshot's levels mean something for them (``readable``)."""

    def __init__(self, repository: Repository, reporter: Reporter) -> None:
        self._repository, self._reporter = repository, reporter
        self._surroundings = Surroundings(repository)

    def check(self, level: Level, sample: Sample, configured: Iterable[str]) -> Iterator[LogChecked]:
        """Each source's log. `configured` are sources that may have one, though not one object of it is left."""
        reader = ChunkReader(self._repository)
        try:
            for source, problems in sorted(self._sources(configured).items()):
                checked = self._check(source, level, sample, reader)
                # What is missing is seen by listing it, and again by reading it.
                checked.problems = list(dict.fromkeys([*checked.problems, *problems]))
                yield checked
        finally:
            reader.close()

    def _sources(self, configured: Iterable[str]) -> Mapping[str, list[Problem]]:
        """The sources of which there is, or was, an archived log; by name, or by what stands for it in names."""
        repository = self._repository
        objects: dict[str, list[str]] = {}
        for info in repository.storage.list(OPLOG):
            objects.setdefault(info.name.split("/")[1], []).append(info.name)
        seen = {head.job.split("/")[1] for head in repository.state.heads() if head.job.startswith(OPLOG)}
        names = {source_id(repository.keyring, source): source for source in configured}
        found: dict[str, list[Problem]] = {}
        for sid in sorted({*objects, *seen}):
            name = names.get(sid) or self._named(objects.get(sid, ()))
            if name is not None:
                found[name] = []
            elif sid in seen and sid not in objects:
                error = RolledBackError(f"the archived log {OPLOG}{sid}, which this host has seen, is gone")
                found[sid] = [Problem.of(error, object_=f"{OPLOG}{sid}")]
            else:
                message = f"none of the segments below {OPLOG}{sid} can be read"
                found[sid] = [Problem("damaged-object", name, "", message) for name in objects[sid]]
        return found

    def _named(self, names: Iterable[str]) -> str | None:
        """The source that segments are of, as the first says that can be read."""
        for name in names:
            for _, data in self._repository.fetch([name]):
                try:
                    if isinstance(data, bytes):
                        return open_segment(self._repository, name, data).segment.source
                except RepositoryError:
                    continue
        return None

    def _check(self, source: str, level: Level, sample: Sample, reader: ChunkReader) -> LogChecked:
        archive = read_archive(self._repository, source)
        checked = LogChecked(source, problems=[_of(error) for error in archive.problems])
        avoid = {*self._surroundings.unreliable, *self._repository.state.bad_packs()}
        lookup = Lookup(self._repository, reader, avoid, keeps_rows=level >= Level.READABLE)
        listing = lookup.listing
        for name, needs in _segments(archive, reader):
            checked.segments += 1
            try:
                for need in needs:
                    lookup.add(need, name)
            except RepositoryError as error:
                listing.problems.append(Problem.of(error, stream=name))
        checked.packs, checked.chunks = len(listing.packs), listing.chunks
        checked.problems += listing.problems
        if level >= Level.INTACT:
            self._inspect(checked, listing, level, sample, reader)
        return checked

    def _inspect(
        self, checked: LogChecked, listing: Listing, level: Level, sample: Sample, reader: ChunkReader
    ) -> None:
        chosen = sample.choose(listing.packs, os.urandom(16))
        task = f"Reading the log of {checked.source}"
        advance = partial(self._reporter.advance, task)
        self._reporter.start(task, sum(chosen.values()))
        try:
            for sha256, found in inspect_packs(self._repository, reader, listing, chosen, level, advance):
                checked.size += found.size
                streams = listing.streams[sha256]
                if found.problem is not None:
                    checked.problems += [replace(found.problem, stream=stream) for stream in streams]
                checked.problems += [
                    replace(problem, stream=", ".join(streams[:3])) for problem in found.bad_chunks.values()
                ]
                if found.problem or found.bad_chunks:
                    checked.broken.append(sha256)
        finally:
            self._reporter.finish(task)
        self._repository.state.note_bad_packs(checked.broken, chosen.keys() - set(checked.broken))
        unknown = [sha256 for sha256 in checked.broken if sha256 not in self._surroundings.unreliable]
        if unknown and level >= Level.READABLE:
            reason = "verification of an archived log found them bad"
            distrust(self._repository, unknown, reason, self._repository.verifier)
            self._surroundings.unreliable.update(unknown)


def _segments(archive: Archive, reader: ChunkReader) -> Iterator[tuple[str, Iterator[Need]]]:
    for timeline in archive.timelines:
        for stretch in timeline.stretches:
            for one in stretch.segments:
                yield one.segment.name, needs_below(reader, one.segment.root)


def _of(error: DrtoolError) -> Problem:
    return Problem.of(error, stream=error.object if error.object.startswith(OPLOG) else "")

"""What a snapshot inherits from the one before: its place in the chain, cut rules, and the chunks to start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from drtool.errors import DrtoolError
from drtool.operations.choosing import recency
from drtool.operations.contents import Contents
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Catalogue, ChainKey, Snapshot, read_catalogue
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.state import Missed
from drtool.sources.reading import Consistency, StreamInfo

#: The share of the unchanged chunks that an increment reads all the same, to check itself.
CHECK = 0.02
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """How much a run reads beyond what changed: everything (``full``, and by ``full_every`` each so many runs), and of
    what did not change a random share (``check``, 0 to 1)."""

    full: bool = False
    full_every: int | None = None
    check: float = CHECK


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The last place of a chain that is taken: 0, None and None before its first snapshot. ``snapshot`` is None where
    that one was removed."""

    chain: ChainKey
    number: int = 0
    hash: str | None = None
    snapshot: str | None = None


def end_of_chain(repository: Repository, catalogue: Catalogue, job: str) -> ChainEnd:
    """Where this signer's chain of a job ends, as the store, this host's memory and the removals say together."""
    chain = (repository.id, repository.signer.public.hex(), job)
    end = ChainEnd(chain)
    head = catalogue.heads().get(chain)
    remembered = next((h for h in repository.state.heads() if (h.origin, h.signer, h.job) == chain), None)
    if head is not None:
        end = ChainEnd(chain, head.manifest.number, head.hash, head.id)
    if remembered is not None and remembered.number > end.number:
        # Going on from what this host knows keeps the gap visible for ever.
        end = ChainEnd(chain, remembered.number, remembered.hash, remembered.snapshot)
    gone = max((number for key, number in catalogue.removed if key == chain), default=0)
    if gone > end.number:
        # Retention removed this host's last one: its number is not to be used again.
        end = ChainEnd(chain, gone, catalogue.removed[chain, gone])
    return end


class Before:
    """The job's last snapshot as the next one sees it.

    ``number``, ``hash`` and ``snapshot`` are its place in this signer's chain (0, None, None before the first).
    ``last`` is the job's newest snapshot, whoever signed it. ``lost`` are chunks of it (of any kind) that no pack holds
    which could be relied on; the caller says which.
    """

    def __init__(self, repository: Repository, job: str, reporter: Reporter) -> None:
        self.job = job
        self.lost: frozenset[bytes] = frozenset()
        self._state = repository.state
        self._missed = repository.state.missed(job)
        self.reader = ChunkReader(repository)
        catalogue = read_catalogue(repository)
        for problem in catalogue.problems:
            reporter.warn(f"the repository is not as it should be: {problem.message}")
        place = end_of_chain(repository, catalogue, job)
        self.number, self.hash, self.snapshot = place.number, place.hash, place.snapshot
        head = catalogue.heads().get(place.chain)
        self.last = max((s for s in catalogue.snapshots if s.manifest.job == job), key=recency, default=None)
        self._chain = [s for s in catalogue.snapshots if head is not None and s.chain == head.chain]
        self.suspects = self._suspects_of(head)
        self.is_own = self.last is not None and self.last.id == self.snapshot
        self.entries: list[StreamEntry] = []
        if self.last is not None:
            self.entries = self._entries_of(self.last, reporter)
        self._streams = {(entry.source, entry.name): entry for entry in self.entries}
        self._streams |= {(entry.source, entry.identity): entry for entry in self.entries if entry.identity}

    def cut(self, source: str, stream: StreamInfo) -> tuple[int, bool] | None:
        """The T that the stream had and whether its rule was fine; None where it is new."""
        entry = self._streams.get((source, stream.identity)) or self._streams.get((source, stream.name))
        return (entry.threshold, entry.fine) if entry is not None else None

    def source(self, name: str) -> SourceEntry | None:
        """What the last snapshot says of a source."""
        sources = self.last.manifest.sources if self.last is not None else ()
        return next((source for source in sources if source.name == name), None)

    def stream(self, source: str, stream: StreamInfo) -> StreamEntry | None:
        """The same stream in the last snapshot, where its chunks may serve again."""
        entry = self._streams.get((source, stream.identity)) if stream.identity else None
        if entry is None or not (entry.keyed and stream.keyed):
            return None
        if entry.consistency != Consistency.EXACT and not (stream.resumable and entry.consistency == Consistency.FUZZY):
            return None
        return entry

    def why_full(self, source: str, thoroughness: Thoroughness) -> str:
        """Why all of a source is to be read; empty where the last snapshot is one to start from."""
        if self.missed(source):
            return f"{untold(self.missed(source))}, as an earlier run found"
        if thoroughness.full:
            return "asked for (--full)"
        if self.last is None:
            return "first snapshot of the job"
        found = self.source(source)
        if found is None:
            return "the last snapshot does not hold this source"
        if not self.is_own:
            return "another host took the last snapshot"
        if found.consistency != Consistency.EXACT:
            return f"the last snapshot is not exact but {found.consistency}"
        every = thoroughness.full_every
        if every is not None and found.increments + 1 >= every:
            return f"every {_ordinal(every)} run" if every > 1 else "every run"
        if not self.entries and self.last.manifest.stream_count:
            return "the last snapshot's stream list cannot be read"
        return ""

    def missed(self, source: str) -> tuple[str, ...]:
        """The streams of which a source did not tell a change, as long as no full read was committed since."""
        found = self._missed.get(source)
        return found.streams if found is not None else ()

    def note_missed(self, source: str, streams: tuple[str, ...]) -> None:
        """The source did not tell of changes in these streams: the increments back to the last full read may lack them.

        The local state holds it from here on, until `forget_missed`.
        """
        found = self.source(source)
        increments = found.increments if found is not None else 0
        self._missed[source] = Missed(streams, self.number - increments + 1, self.number)
        self._state.note_missed(self.job, source, self._missed[source])

    def forget_missed(self, sources: Iterable[str]) -> None:
        """A full read of these sources was committed."""
        self._state.forget_missed(self.job, sources)

    def may_lack(self, sources: Iterable[str]) -> Iterator[tuple[int, int]]:
        """The snapshots of this chain, as numbers (first, last), that may lack what these sources did not tell."""
        for missed in filter(None, map(self._missed.get, sources)):
            if self.chain_between([(missed.low, missed.high)]):
                yield missed.low, missed.high

    def chain_between(self, numbers: Iterable[tuple[int, int]]) -> tuple[str, ...]:
        """The ids of this chain's snapshots with numbers in these ranges (first, last)."""
        ranges = list(numbers)
        return tuple(s.id for s in self._chain if any(low <= s.manifest.number <= high for low, high in ranges))

    def close(self) -> None:
        """Give up the threads."""
        self.reader.close()

    def _suspects_of(self, head: Snapshot | None) -> tuple[tuple[int, int], ...]:
        """What the chain's last snapshot says of those before it, as far as they are still there."""
        told = head.manifest.suspects if head is not None else ()
        return tuple(numbers for numbers in told if self.chain_between([numbers]))

    def _entries_of(self, last: Snapshot, reporter: Reporter) -> list[StreamEntry]:
        try:
            return Contents(self.reader, last.manifest).streams()
        except DrtoolError as error:
            reporter.warn(
                f"the last snapshot's stream list cannot be read, so more than needed may be stored: {error.message}"
            )
            return []


def untold(streams: Sequence[str]) -> str:
    """Why nothing may be taken over of a source that did not tell of changes in these streams."""
    more = f" and {len(streams) - _NAMED} more" if len(streams) > _NAMED else ""
    return f"the source did not tell of a change in {', '.join(streams[:_NAMED])}{more}"


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"

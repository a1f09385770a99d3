"""Trees of files at one instant, as far as nobody changed them meanwhile: what was is noticed and named."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from drtool.errors import SourceError
from drtool.sources.cutting import Chunk, CutRule, Record, cut_part
from drtool.sources.files.changes import RACY_NS, differing, touched
from drtool.sources.files.definitions import Definition
from drtool.sources.files.entries import Entry, last_key
from drtool.sources.files.listings import DamagedListingError, open_listing
from drtool.sources.files.memory import Memory, listing_path
from drtool.sources.files.reading import Moves, Reading
from drtool.sources.files.scanning import Scan, Walked, now
from drtool.sources.files.walking import Tree
from drtool.sources.plain import PlainView
from drtool.sources.reading import Base, Changes, Consistency, KeyRange, Proof, Settled, StreamInfo

KIND = "tree"
#: How often the instant may move before everything is read again, which nothing can stop.
_MOST_MOVES = 2


class FilesView(PlainView):
    """Trees at one instant (``drtool.sources.reading.View``), the moment before they are walked.

    What was changed last before that moment is as it was then, and so is content that has the same ctime after it was
    read. After too many `moves` nothing is followed any more, and the trees are read whole.
    """

    def __init__(self, trees: Sequence[Tree], memory: Memory, proof: Proof, moves: Moves) -> None:
        self._memory, self._proof, self._moves = memory, proof, moves
        self._instant = now()
        self._token = memory.begin()
        self._scan = Scan(trees, memory.of(self._token), self._instant)
        self._readings = {tree.name: Reading(tree, _always, moves) for tree in trees}
        self._cancelled = threading.Event()

    @property
    def instant(self) -> datetime:
        """See ``View.instant``."""
        return datetime.fromtimestamp(self._instant / 1e9, UTC)

    @property
    def point(self) -> Mapping[str, Any]:
        """See ``View.point``: the token of this reading, and what git says of each checkout."""
        checkouts = {
            walked.tree.name: walked.checkout.as_json() for walked in self._scan.result() if walked.checkout is not None
        }
        return {"reading": self._token, "git": checkouts}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``: one for each tree."""
        return sorted((self._stream(walked) for walked in self._scan.result()), key=lambda stream: stream.name)

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        [walked] = [each for each in self._scan.result() if each.tree.name == stream.name]
        records = _Ranged(walked.listing.entries(part.lower), self._readings[stream.name], part, self._cancelled)
        return cut_part(records.own(), () if part.strict else records.beyond(), rule)

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """See ``View.changes``: by the listing that this host kept of the earlier reading."""
        token = since.get("reading")
        if self._moves.count > _MOST_MOVES:
            return Changes(full_because="files changed faster than what others left could be looked through")
        if not isinstance(token, str) or not self._memory.of(token).is_dir():
            return Changes(full_because="this host remembers nothing of the last reading of these files")
        found: dict[str, dict[int, set[int]]] = {}
        full: dict[str, str] = {}
        for walked in self._scan.result():
            name = walked.tree.name
            if name not in bases:
                continue
            try:
                stream, instant, old = open_listing(listing_path(self._memory.of(token), name))
                if stream != name:
                    raise DamagedListingError(f"it is of {stream}")
                found[name] = touched(bases[name], differing(old, walked.listing.entries(), instant))
            except (OSError, DamagedListingError) as error:
                full[name] = f"what this host remembers of the last reading cannot be used: {error}"
                continue
            self._readings[name].may_change = _Since(instant - RACY_NS)
        return Changes(touched=found, full=full)

    def settle(self) -> Settled:
        """See ``View.settle``: exact where nothing changed; what did is named, and its tree fuzzy."""
        weaker: dict[str, Consistency] = {}
        warnings: list[str] = []
        for walked in self._scan.result():
            name, reading = walked.tree.name, self._readings[walked.tree.name]
            for names, what in (
                (reading.torn, "changed while being read: what is kept of it is of several moments"),
                (reading.changed, "changed before being read, and kept as it was then"),
                (reading.vanished, "vanished before being read, and not kept"),
                (walked.moving, "changed while the tree was listed"),
            ):
                if names.count:
                    weaker[name] = Consistency.FUZZY
                    warnings.append(f"{names} {what}")
            if walked.sockets.count:
                warnings.append(f"{walked.sockets}: left out, for nothing can be kept of a socket")
            if walked.is_empty:
                warnings.append(f"{name} is empty: is its volume mounted?")
        empty = tuple(walked.tree.name for walked in self._scan.result() if walked.is_empty)
        return Settled(Consistency.EXACT, weaker, tuple(warnings), empty)

    def cancel(self) -> None:
        """See ``View.cancel``."""
        self._cancelled.set()

    def close(self) -> None:
        """See ``View.close``."""
        self._cancelled.set()
        self._scan.stop()

    def _stream(self, walked: Walked) -> StreamInfo:
        return StreamInfo(
            name=walked.tree.name,
            kind=KIND,
            proof=self._proof,
            definition=Definition.of(walked).encode(),
            identity=walked.tree.name,
            estimated_records=walked.records,
            estimated_bytes=walked.bytes,
            fine=True,
            resumable=True,
        )


def _always(entry: Entry) -> bool:
    del entry
    return True


class _Since:
    """Was an entry changed since an instant, so that it is read anew whatever it holds by now?"""

    def __init__(self, instant: int) -> None:
        self._instant = instant

    def __call__(self, entry: Entry) -> bool:
        return entry.ctime >= self._instant


class _Ranged:
    """The records of a part, and those after it. Nothing is opened before its turn comes."""

    def __init__(self, entries: Iterator[Entry], reading: Reading, part: KeyRange, cancelled: threading.Event) -> None:
        self._entries, self._reading, self._part, self._cancelled = entries, reading, part, cancelled
        self._rest: Iterator[Record] = iter(())

    def own(self) -> Iterator[Record]:
        """Those of the part."""
        upper = self._part.upper
        for entry in self._entries:
            records = self._of(entry)
            if upper is not None and entry.key >= upper:
                self._rest = records
                return
            for record in records:
                if upper is not None and record[0] >= upper:
                    self._rest = chain((record,), records)
                    return
                yield record

    def beyond(self) -> Iterator[Record]:
        """All that follow."""
        yield from self._rest
        for entry in self._entries:
            yield from self._of(entry)

    def _of(self, entry: Entry) -> Iterator[Record]:
        if self._cancelled.is_set():
            raise SourceError("reading was cancelled")
        lower, upper = self._part.lower, self._part.upper
        if lower is not None and lower <= entry.key:
            lower = None
        if lower is not None and last_key(entry) < lower:
            return
        own = upper is None or entry.key < upper
        for record in self._reading.records(entry, lower, upper, own=own):
            if lower is None or record[0] >= lower:
                yield record

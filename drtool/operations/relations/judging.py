"""Judging relations over the records of a snapshot, with memory for a limited number of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from drtool.config.relations import Relation
from drtool.errors import UsageError
from drtool.operations.contents import Contents
from drtool.operations.overlaying import is_overlay
from drtool.operations.relations.hashing import Batch, Hasher, Hashes, Slice, are_in, slices
from drtool.operations.relations.outcome import SHOWN, Outcome
from drtool.operations.relations.places import Place, resolve
from drtool.operations.relations.reading_as import shown
from drtool.sources.base import Source
from drtool.sources.reading import Consistency


class Judge:
    """Judges the relations of one snapshot. `source_of` gives the source of a name, `advance` is told how many bytes of
    records were looked at."""

    def __init__(
        self, contents: Contents, source_of: Callable[[str], Source], advance: Callable[[int], None] | None = None
    ) -> None:
        self._contents, self._source_of, self._advance = contents, source_of, advance
        self._entries = [entry for entry in contents.streams() if entry.has_records and not is_overlay(entry)]
        self._hasher = Hasher()

    def concerning(self, relations: Iterable[Relation]) -> list[Relation]:
        """Those that are about sources of this snapshot only."""
        there = {origin.name for origin in self._contents.manifest.sources}
        return [relation for relation in relations if relation.sources <= there]

    def judge(self, relation: Relation) -> Outcome:
        """Does it hold? Errors of reading the snapshot, but what a path does not lead to is an outcome."""
        try:
            left, right = (self._place(path) for path in (relation.left, relation.right))
            if Consistency.OVERLAY in (left.entry.consistency, right.entry.consistency):
                reason = "not judged: records that changed while they were read are of the instant only after a replay"
                return Outcome(relation.title, relation.form, None, reason=reason)
            if relation.form == "count":
                return _counted(relation, left, right)
            for place, path in ((left, relation.left), (right, relation.right)):
                if not place.field:
                    raise UsageError(f"{path} names a stream and no field of it")
            return (self._exists if relation.form == "every" else self._one_to_one)(relation, left, right)
        except UsageError as error:
            return Outcome(relation.title, relation.form, ok=False, reason=f"cannot be judged: {error.message}")

    def _place(self, path: str) -> Place:
        name = path.partition(".")[0]
        return resolve(path, self._source_of(name), [entry for entry in self._entries if entry.source == name])

    def _values(self, place: Place) -> Iterator[Any]:
        return place.source.values(self._contents.info(place.entry), self._records(place), place.field)

    def _records(self, place: Place) -> Iterator[bytes]:
        for chunk in self._contents.records(place.entry):
            yield chunk
            if self._advance is not None:
                self._advance(len(chunk))

    # --- every value exists -------------------------------------------------------------------------

    def _exists(self, relation: Relation, left: Place, right: Place) -> Outcome:
        tally = _Tally(relation)
        known = 0
        for part in slices(right.entry.records):
            held = self._hasher.held(self._values(right), None, part)
            known += len(held)
            for batch in self._hasher.batches(self._values(left), relation.as_):
                tally.add(batch, part, ~are_in(batch.hashes, held) & part.mask(batch.hashes))
        tally.require_some((left, tally.values), (right, known))
        return tally.outcome()

    # --- one to one ---------------------------------------------------------------------------------

    def _one_to_one(self, relation: Relation, left: Place, right: Place) -> Outcome:
        tally = _Tally(relation)
        sides = ((left, relation.as_), (right, None))
        found = [0, 0]
        unfit: list[Hashes] = []
        for part in slices(left.entry.records + right.entry.records):
            (one, one_counts), (two, two_counts) = (self._counted_hashes(*side, part) for side in sides)
            every = np.union1d(one, two)
            fitting = np.intersect1d(one[one_counts == 1], two[two_counts == 1], assume_unique=True)
            wrong = np.setdiff1d(every, fitting, assume_unique=True)
            found = [found[0] + len(one), found[1] + len(two)]
            tally.values += len(every)
            tally.unfit += len(wrong)
            unfit.append(wrong[:SHOWN])
        self._look_up(tally, np.sort(np.concatenate(unfit)[:SHOWN]), sides)
        tally.require_some((left, found[0]), (right, found[1]))
        return tally.outcome()

    def _counted_hashes(self, place: Place, type_: str | None, part: Slice) -> tuple[Hashes, Any]:
        values, counts = np.unique(self._hasher.held(self._values(place), type_, part), return_counts=True)
        return values, counts

    def _look_up(self, tally: _Tally, wanted: Hashes, sides: Sequence[tuple[Place, str | None]]) -> None:
        """Which values those were, and what has none."""
        for place, type_ in sides:
            for batch in self._hasher.batches(self._values(place), type_):
                tally.note(batch)
                for position in np.flatnonzero(are_in(batch.hashes, wanted)):
                    tally.show(batch.values[position])


class _Tally:
    """Counts what was looked at. ``values`` have a value that can be read."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self.values = self.unfit = self.absent = self.unread = 0
        self._sample: dict[str, None] = {}
        self._nothing = ""

    def add(self, batch: Batch, part: Slice, wrong: Any) -> None:
        """A batch of which some do not fit, as often as there are parts."""
        self.unfit += int(np.count_nonzero(wrong))
        for position in np.flatnonzero(wrong)[:SHOWN]:
            self.show(batch.values[position])
        if part.number == 0:
            self.values += len(batch.values)
            self.note(batch)

    def note(self, batch: Batch) -> None:
        """What of a batch is no value to compare."""
        self.absent += 0 if self._relation.optional else batch.absent
        self.unread += len(batch.unread)
        for value in batch.unread[:SHOWN]:
            self.show(value)

    def show(self, value: Any) -> None:
        """A value that does not fit."""
        if len(self._sample) < SHOWN:
            self._sample[shown(value)] = None

    def require_some(self, *sides: tuple[Place, int]) -> None:
        """``UsageError`` where no record of a side has a value: its field is spelt wrongly, or is not what is meant.
        Where records may lack it, that is told."""
        for place, values in sides:
            if place.entry.records and not values and not self.unread:
                told = f"no record of {place.source.name}.{place.entry.name} has a value in {place.field}"
                if not self._relation.optional:
                    raise UsageError(told)
                self._nothing = self._nothing or told

    def outcome(self) -> Outcome:
        """The verdict."""
        unfit = self.unfit + self.absent + self.unread
        if self._nothing and not unfit:
            return Outcome(self._relation.title, self._relation.form, None, reason=f"not judged: {self._nothing}")
        checked = self.values + self.absent + self.unread
        allowed = self._relation.slack.of(checked)
        return Outcome(
            name=self._relation.title,
            form=self._relation.form,
            ok=unfit <= allowed,
            checked=checked,
            unfit=unfit,
            allowed=allowed,
            absent=self.absent,
            unread=self.unread,
            sample=tuple(self._sample),
        )


def _counted(relation: Relation, left: Place, right: Place) -> Outcome:
    for place, path in ((left, relation.left), (right, relation.right)):
        if place.field:
            raise UsageError(f"{path}: {place.entry.name} is a stream, and streams are counted, not {place.field}")
    counts = left.entry.records, right.entry.records
    unfit, checked = abs(counts[0] - counts[1]), max(counts)
    allowed = relation.slack.of(checked)
    return Outcome(
        relation.title,
        relation.form,
        ok=unfit <= allowed,
        checked=checked,
        unfit=unfit,
        allowed=allowed,
        counts=counts,
    )

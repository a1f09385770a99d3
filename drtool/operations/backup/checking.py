"""An increment checks itself: a random share of the chunks that it takes over unread is read all the same."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from drtool.errors import WindowPassedError
from drtool.operations.backup.coverage import Coverage, Spot
from drtool.operations.backup.intake.intake import Intake
from drtool.operations.backup.intake.units import Taken, Unit
from drtool.operations.budget import Budget
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.sources.cutting import CutRule
from drtool.sources.reading import StreamInfo, View


@dataclass(frozen=True, slots=True)
class Subject:
    """A stream of which chunks are taken over."""

    stream: StreamInfo
    rule: CutRule
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Checked:
    """How many chunks of those chosen (``wanted``) and how many bytes were read, and the streams (by name) of which one
    was not what was taken over."""

    chunks: int
    wanted: int
    bytes: int
    differing: tuple[str, ...]


def check(view: View, subjects: Sequence[Subject], share: float, keyring: Keyring, budget: Budget) -> Checked:
    """Read a random share (0 to 1; at least one chunk unless it is 0) of what is taken over. Stores nothing.

    Fewer where the server's window passes meanwhile: all that the snapshot needs was read before. Raises
    ``InstantMovedError`` where the instant moves for another reason.
    """
    chosen = [(subject, spot) for subject, spots in _choose(subjects, share) for spot in spots]
    random.SystemRandom().shuffle(chosen)  # what is read before the window passes is a sample, too
    units = [Unit(subject.stream, spot.range, subject.rule) for subject, spot in chosen]
    intake = Intake(lambda data: chunk_id(keyring, ChunkKind.DATA, data), budget, _in_silence)
    taken = intake.read(view, units)
    if intake.moved is not None and not isinstance(intake.moved, WindowPassedError):
        raise intake.moved
    done = [(*one, found) for one, found in zip(chosen, taken, strict=True) if found.complete]
    differing = {subject.stream.name for subject, spot, found in done if not _is_same(spot, found)}
    return Checked(len(done), len(chosen), sum(spot.length for _, spot, _ in done), tuple(sorted(differing)))


def _in_silence(_size: int) -> None:
    """A check is no progress."""


def _is_same(spot: Spot, found: Taken) -> bool:
    return [found.chunks.id(index) for index in range(len(found.chunks))] == [spot.id]


def _choose(subjects: Sequence[Subject], share: float) -> list[tuple[Subject, list[Spot]]]:
    total = sum(subject.coverage.inherited for subject in subjects)
    count = min(total, max(1, round(share * total))) if share > 0 else 0
    numbers = sorted(random.SystemRandom().sample(range(total), count))
    chosen: list[tuple[Subject, list[Spot]]] = []
    begin = 0
    for subject in subjects:
        end = begin + subject.coverage.inherited
        mine = numbers[bisect_left(numbers, begin) : bisect_left(numbers, end)]
        if mine:
            chosen.append((subject, list(subject.coverage.spots([number - begin for number in mine]))))
        begin = end
    return chosen

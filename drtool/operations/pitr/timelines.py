"""Of several timelines that lead to a goal: the one that is what happened then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, OutOfReachError, UsageError
from drtool.operations.pitr.entries import foreign
from drtool.operations.pitr.goals import Goal
from drtool.operations.pitr.histories import Histories
from drtool.operations.pitr.reach import Base, moment
from drtool.repository.archive import Archive, Stretch
from drtool.repository.segments import At


@dataclass(frozen=True, slots=True)
class _Dispute:
    """Another stretch speaks against the one of ``base``: both have entries of their own (``is_open``), or only the
    other one has, which then is what happened."""

    base: Base
    other: Stretch
    begun: At | None
    is_open: bool


def choose(
    archive: Archive, fitting: Sequence[Base], goal: Goal, histories: Histories, *, is_named: bool = False
) -> Base:
    """One of the bases `fitting` (the best first), in the timeline that is what happened before the goal.

    A timeline begins with the past of another where a source was put back to an older state. Up to its own first entry
    the other one, which went on meanwhile, is what happened; after the end of the other one it is the only one. What
    two timelines hold alike can be had from either. An operation is that of the timeline that holds it. ``UsageError``
    where both have entries of their own before the goal, or none has the operation; ``OutOfReachError`` where what
    happened is not archived. With `is_named` the bases are of a timeline that was asked for, whatever others hold.
    """
    candidates = list(_candidates(fitting, histories))
    if not candidates:
        raise foreign(fitting[0])
    if goal.is_operation:
        candidates = _holding(archive, candidates, goal, histories)
    if is_named:
        return candidates[0]
    disputes = []
    for base in candidates:
        dispute = _dispute(archive, base, candidates, goal, histories)
        if dispute is None:
            return base
        disputes.append(dispute)
    raise _refused(archive, candidates, disputes, goal)


def _candidates(fitting: Sequence[Base], histories: Histories) -> Iterator[Base]:
    """The best of each timeline that belongs to it."""
    seen: set[str] = set()
    for base in fitting:
        timeline = base.stretch.timeline
        if timeline not in seen and _belongs(base, histories):
            seen.add(timeline)
            yield base


def _belongs(base: Base, histories: Histories) -> bool:
    try:
        return histories.belongs(base)
    except DamagedObjectError:
        return True  # whoever reads all of its entries says what is wrong, and what can be reached


def _holding(archive: Archive, candidates: Sequence[Base], goal: Goal, histories: Histories) -> list[Base]:
    """The candidates whose timeline holds the very operation."""
    try:
        found = [base for base in candidates if histories.entry(base.stretch, goal.at) is not None]
    except DamagedObjectError:
        return list(candidates)  # as in _belongs
    if found:
        return found
    holding = [
        timeline.id[:8]
        for timeline in archive.timelines
        if any(histories.entry(stretch, goal.at) is not None for stretch in timeline.stretches)
    ]
    tried = ", ".join(base.stretch.timeline[:8] for base in candidates)
    if holding:
        raise UsageError(
            f"there is no entry at {goal.at[0]}:{goal.at[1]} in timeline {tried}; one is in {', '.join(holding)}",
            hint=f"Add --timeline {holding[-1]}; drtool pitr status shows what can be reached there.",
        )
    which = "the archived log" if len(archive.timelines) == 1 else f"any of the {len(archive.timelines)} timelines"
    raise UsageError(
        f"there is no entry at {goal.at[0]}:{goal.at[1]} in {which}",
        hint="drtool pitr find prints where each operation stands, and in which timeline.",
    )


def _dispute(
    archive: Archive, base: Base, candidates: Sequence[Base], goal: Goal, histories: Histories
) -> _Dispute | None:
    leading = {candidate.stretch for candidate in candidates}
    for timeline in archive.timelines:
        for other in timeline.stretches if timeline.id != base.stretch.timeline else ():
            # One that ended before the snapshot, or begins behind the goal, says nothing of what lies between; one that
            # does not hold the operation that is asked for is not what was meant.
            is_about = base.anchor.at.at <= other.end.at and other.start.at < goal.at
            if is_about and (other in leading or not goal.is_operation):
                dispute = _compare(base, other, goal, histories, other in leading)
                if dispute is not None:
                    return dispute
    return None


def _compare(base: Base, other: Stretch, goal: Goal, histories: Histories, leads: bool) -> _Dispute | None:
    try:
        parting = histories.part(base.stretch, other)
    except DamagedObjectError as error:
        raise type(error)(
            f"whether timeline {base.stretch.timeline[:8]} or {other.timeline[:8]} is what happened before {goal.text}"
            f" cannot be seen: {error.message}",
            hint="Say which is to be restored with --timeline.",
        ) from error
    if parting is None:
        return None
    has_own, other_has_own = _is_before(parting.one, goal), _is_before(parting.other, goal)
    if parting.shares and other_has_own and not has_own:
        return _Dispute(base, other, parting.one, is_open=False)
    if leads and (not parting.shares or (has_own and other_has_own)):
        return _Dispute(base, other, parting.one, is_open=True)
    return None


def _is_before(at: At | None, goal: Goal) -> bool:
    """Before the goal, or that itself: another operation at the place asked for is another one."""
    return at is not None and (at <= goal.at if goal.is_operation else at < goal.at)


def _refused(
    archive: Archive, candidates: Sequence[Base], disputes: Sequence[_Dispute], goal: Goal
) -> OutOfReachError | UsageError:
    if any(dispute.is_open for dispute in disputes):
        told = ", ".join(
            f"{base.stretch.timeline[:8]} (archived up to {moment(base.stretch.end.at).isoformat()})"
            for base in sorted(candidates, key=lambda base: base.stretch.end.at)
        )
        return UsageError(
            f"several timelines of {archive.source} lead to {goal.text}, and each holds changes of its own: {told}",
            hint="Say which with --timeline ID.",
        )
    dispute = disputes[0]
    mine, other = dispute.base.stretch.timeline[:8], dispute.other
    until = "then" if dispute.begun is None else f"until {moment(dispute.begun).isoformat()}"
    lacking = (
        f"that is archived up to {moment(other.end.at).isoformat()} only"
        if other.end.at < goal.at
        else "no snapshot leads there in it"
    )
    return OutOfReachError(
        f"{goal.text} cannot be reached: what happened {until} is timeline {other.timeline[:8]}, and {lacking}",
        hint=f"--timeline {mine} gives what the source was put back to afterwards.",
    )

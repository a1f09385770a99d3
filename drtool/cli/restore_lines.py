"""What ``drtool restore`` prints: what is going to be done, and what was."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drtool.cli.command import Context
from drtool.cli.units import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from drtool.operations.catalogue import Known
    from drtool.operations.choosing import Chosen
    from drtool.operations.pitr.recovering import Recovery
    from drtool.operations.restore.prospects import Prospect, RestoreResult
    from drtool.repository.repository import Repository

_SHOWN = 20


def announce(
    context: Context,
    opened: Repository,
    chosen: Chosen,
    found: Known,
    prospects: Sequence[Prospect],
    left_out: Mapping[str, str],
) -> None:
    """What is going to be restored from what, and what is there. `left_out` says why of some sources nothing is."""
    from drtool.operations.restore.prospects import expected_seconds

    seconds = expected_seconds(opened, found, prospects)
    _put(context, chosen, found, prospects, seconds)
    _show_snapshot(context, chosen, found)
    for prospect in prospects:
        _show_prospect(context, prospect, named=len(prospects) + len(left_out) > 1)
    for source, reason in left_out.items():
        context.output.text(f"  {source} is not restored: {reason}")
    if seconds is not None:
        context.output.text(f"  should take about {duration(max(1, seconds))}, at the rate last measured")


def show_refusal(context: Context, prospects: Sequence[Prospect]) -> None:
    """That nothing was written, and whether anything would be."""
    count = sum(len(prospect.in_the_way) for prospect in prospects)
    context.output.result(would_refuse=count > 0)
    context.output.text("nothing was written (--dry-run)")
    if count:
        things = "1 thing is" if count == 1 else f"{count} things are"
        context.output.text(f"the restore would be refused: {things} in the way")


def show_results(
    context: Context, prospects: Sequence[Prospect], results: Iterable[RestoreResult], recovery: Recovery | None
) -> None:
    """Each result as it comes, and the sum."""
    by_source = {prospect.source: prospect for prospect in prospects}
    done: list[RestoreResult] = []
    for result in results:
        done.append(result)
        context.output.line("restored", source=result.source, **_fields(result))
        _show_result(context, result, by_source[result.source], recovery)
        context.output.result(**_sum(done))
    if len(prospects) > 1:
        records, size_ = sum(one.records for one in done), sum(one.bytes for one in done)
        context.output.ok(
            f"restored {counted(records, 'record')} ({size(size_)}) of {counted(len(done), 'source')}"
            f" in {duration(sum(one.seconds for one in done))}"
        )


def _put(context: Context, chosen: Chosen, found: Known, prospects: Sequence[Prospect], seconds: float | None) -> None:
    """What is known before the first write, in JSON."""
    level = found.level(chosen.snapshot)
    for prospect in prospects:
        context.output.line(
            "prospect",
            source=prospect.source,
            target=prospect.inspection.target,
            expected_records=prospect.records,
            streams=len(prospect.streams),
            bytes=prospect.bytes,
            occupied=list(prospect.inspection.occupied),
            in_place=prospect.plan.replace,
            notes=list(prospect.inspection.notes),
        )
    context.output.result(
        snapshot=chosen.snapshot.id,
        level=level.level.label,
        verified_at=level.at,
        verification_failed=level.last_failed,
        suspect=found.is_suspect(chosen.snapshot),
        target=_only({prospect.inspection.target for prospect in prospects}),
        targets={prospect.source: prospect.inspection.target for prospect in prospects},
        expected_records=sum(prospect.records for prospect in prospects),
        streams=sum(len(prospect.streams) for prospect in prospects),
        occupied=[one for prospect in prospects for one in prospect.inspection.occupied],
        left_out=[{"source": prospect.source, **asdict(left)} for prospect in prospects for left in prospect.left_out],
        expected_seconds=seconds if seconds is None else round(seconds, 1),
        distance=chosen.distance,
    )


def _only(targets: set[str]) -> str | None:
    """The one target of all; None where they go to several."""
    return next(iter(targets)) if len(targets) == 1 else None


def _fields(result: RestoreResult) -> dict[str, Any]:
    return {
        "target": result.target,
        "records": result.records,
        "expected_records": result.expected_records,
        "streams": result.streams,
        "seconds": round(result.seconds, 3),
        "bytes": result.bytes,
        "replayed": result.replayed,
        "recovered_to": result.recovered_to,
        "changes": [asdict(change) for change in result.changes],
        "already_there": dict(result.already_there),
    }


def _sum(done: Sequence[RestoreResult]) -> dict[str, Any]:
    return {
        "restored": [result.source for result in done],
        "records": sum(result.records for result in done),
        "bytes": sum(result.bytes for result in done),
        "seconds": round(sum(result.seconds for result in done), 3),
        "replayed": sum(result.replayed for result in done),
        "recovered_to": max(result.recovered_to for result in done),
        "restored_streams": sum(result.streams for result in done),
        "changes": [asdict(change) for result in done for change in result.changes],
        "already_there": {name: count for result in done for name, count in result.already_there.items()},
    }


def _show_snapshot(context: Context, chosen: Chosen, found: Known) -> None:
    from drtool.operations.choosing import instant_of

    output, snapshot = context.output, chosen.snapshot
    level = found.level(snapshot)
    verified = f"verified {level.level.label} on {level.at}" if level.at else "never verified"
    if level.last_failed:
        verified = f"verified {level.level.label} on {level.at}; " if level.at else ""
        verified += "the LAST VERIFICATION FAILED"
    age = duration((datetime.now(UTC) - instant_of(snapshot)).total_seconds())
    output.text(f"snapshot {snapshot.id} of job {snapshot.manifest.job}, {verified}")
    if found.is_suspect(snapshot):
        context.reporter().warn(
            f"snapshot {snapshot.id} is suspect: it may lack changes that the source did not tell of;"
            " drtool snapshots shows which are not"
        )
    output.text(f"  brings back {snapshot.manifest.instant}, {age} ago")
    if chosen.distance is not None:
        output.text(f"  taken {duration(chosen.distance.total_seconds())} before the time asked for")


def _show_prospect(context: Context, prospect: Prospect, *, named: bool) -> None:
    output = context.output
    of = f"{prospect.source} ({prospect.origin.type}): " if named else ""
    output.text(f"  {of}{prospect.records:,} records, {size(prospect.bytes)}, to {prospect.inspection.target}:")
    items = prospect.streams
    for item in items[:_SHOWN]:
        waits = item.stream.identity in prospect.parked
        name = "a name that the log gives it later" if waits else item.name
        output.text(f"    {item.stream.name} → {name} ({item.records:,})")
    if len(items) > _SHOWN:
        output.text(f"    … and {len(items) - _SHOWN} more")
    for stream, name in sorted(prospect.made.items())[:_SHOWN]:
        output.text(f"    {stream} → {name}, by the log")
    for sentence in _left_out(prospect):
        output.text(f"    {sentence}")
    for occupied in prospect.in_the_way:
        output.text(f"  in the way: {occupied}")
    for replaced in prospect.replaced:
        output.text(f"  is replaced: {replaced}")
    for note in prospect.inspection.notes:
        output.text(f"  note: {note}")


def _left_out(prospect: Prospect) -> list[str]:
    """What the restore leaves alone, a sentence for each reason."""
    streams: dict[str, list[str]] = {}
    for left in prospect.left_out:
        streams.setdefault(left.reason, []).append(f"{left.stream} ({left.records:,})")
    return [f"not restored: {', '.join(names)}: {reason}" for reason, names in streams.items()]


def _show_result(context: Context, result: RestoreResult, prospect: Prospect, recovery: Recovery | None) -> None:
    for sentence in _about(result, prospect):
        context.output.text(f"  {sentence}")
    replayed = recovery is not None or result.replayed > 0
    context.output.ok(
        f"restored {counted(result.records, 'record')} ({size(result.bytes)}) in {counted(result.streams, 'stream')}"
        + (f" and replayed {result.replayed:,} operations" if replayed else "")
        + f" to {result.target} in {duration(result.seconds)}"
        + (f"; recovered to {result.recovered_to.isoformat()}" if recovery is not None else "")
    )


def _about(result: RestoreResult, prospect: Prospect) -> Iterator[str]:
    """What is not there as the snapshot holds it, and what had been there before."""
    for change in result.changes:
        yield change.told()
    for item in prospect.streams:
        already = result.already_there.get(item.name, 0)
        if already:
            yield f"{item.name}: {item.records - already:,} made, {already:,} there already"

"""What ``drtool repair snapshots`` found, as lines for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drtool.cli.context import Context
from drtool.cli.units import counted, size

if TYPE_CHECKING:
    from drtool.operations.repair.losses import Damage, Loss
    from drtool.operations.repair.snapshots import Losses, Marked

_SHOWN = 10


def show_losses(context: Context, losses: Losses) -> None:
    """What each snapshot lacks."""
    output = context.output
    for damage in losses.damages:
        manifest = damage.snapshot.manifest
        whole = damage.streams - len(damage.hit) if not _is_all(damage) else 0
        output.line(
            "damage",
            snapshot=damage.snapshot.id,
            job=manifest.job,
            streams={"total": damage.streams, "whole": whole},
            records={"total": damage.records, "lost": damage.lost_records},
            losses=[_fields(loss, losses) for loss in damage.losses],
        )
        output.text(
            f"✗ {damage.snapshot.id} (job {manifest.job}): {whole} of {counted(damage.streams, 'stream')} whole,"
            f" {damage.lost_records:,} of {damage.records:,} records lost"
        )
        types = {source.name: source.type for source in manifest.sources}
        for loss in damage.losses[:_SHOWN]:
            again = "; the next backup stores it anew, if the source still holds it" if losses.heals(loss) else ""
            output.text(f"    {_told(loss, types)}{again}")
        if len(damage.losses) > _SHOWN:
            output.text(f"    … and {len(damage.losses) - _SHOWN} more; --json lists all")
    output.result(
        snapshots=losses.snapshots,
        damaged=len(losses.damages),
        bad_packs=len(losses.bad),
        heals=all(losses.heals(loss) for damage in losses.damages for loss in damage.losses),
    )


def _is_all(damage: Damage) -> bool:
    return any(loss.what == "streams" for loss in damage.losses)


def _fields(loss: Loss, losses: Losses) -> dict[str, object]:
    return {
        "stream": loss.stream,
        "what": loss.what,
        "first": loss.first,
        "records": loss.records,
        "bytes": loss.size,
        "first_key": loss.first_key and loss.first_key.hex(),
        "last_key": loss.last_key and loss.last_key.hex(),
        "chunks": len(loss.chunks),
        "objects": list(loss.objects),
        "heals": losses.heals(loss),
    }


def _told(loss: Loss, types: dict[str, str]) -> str:
    from drtool.operations.repair.keytext import key_text

    packs = ", ".join(loss.objects[:2]) + (" …" if len(loss.objects) > 2 else "")
    cause = f" (in {packs})" if packs else " (in no pack that the index names)"
    if loss.what == "streams":
        return f"the list of its streams{cause}"
    if loss.what == "definition":
        return f"{loss.stream}: its definition{cause}"
    if loss.what == "bounds":
        return f"{loss.stream}: keys of ranges, which only increments need{cause}"
    kind = types.get(loss.stream.partition("/")[0], "")
    keys = ""
    if loss.first_key is not None and loss.last_key is not None:
        keys = f", keys {key_text(kind, loss.first_key)} to {key_text(kind, loss.last_key)}"
    return f"{loss.stream}: records {loss.first + 1:,} to {loss.end:,}{keys} ({size(loss.size)}){cause}"


def show_marked(context: Context, losses: Losses, marked: Marked) -> None:
    """What was done about it."""
    context.output.result(distrust=marked.distrust, pages=marked.pages)
    if marked.pages:
        context.output.text(f"stored anew from what this host keeps: {counted(marked.pages, 'page')}")
    if not marked.told:
        context.reporter().warn(
            "only this host knows of the bad packs: to tell other hosts takes the identity, or a maintainer's key"
        )
    elif losses.bad:
        context.output.text(f"no backup relies on {counted(len(losses.bad), 'bad pack')} any more")


def advice(losses: Losses, *, dry_run: bool) -> str:
    """What to do next."""
    jobs = sorted(
        {damage.snapshot.manifest.job for damage in losses.damages for loss in damage.losses if losses.heals(loss)}
    )
    whole = "Streams that are whole can be restored: drtool restore SNAPSHOT --only NAME."
    if not jobs:
        return f"No backup can bring it back. {whole}"
    first = "drtool repair snapshots, then " if dry_run else ""
    return f"Run {first}drtool backup {' '.join(jobs)}: it stores anew what the source still holds. {whole}"

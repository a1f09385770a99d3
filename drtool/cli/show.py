"""``drtool show``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from drtool.cli.choices import known, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.output import Output
from drtool.cli.units import apart, duration, size

if TYPE_CHECKING:
    from drtool.operations.choosing import Chosen
    from drtool.repository.chain import Snapshot
    from drtool.repository.evidence import Reached
    from drtool.repository.manifests import StreamEntry


@drtool_command(
    example="""
drtool show latest
drtool show nightly@2026-08-01T00:00:00Z --json
"""
)
@click.argument("name", metavar="SNAPSHOT")
def command(context: Context, name: str) -> None:
    """Show one snapshot in full: sources, instants, streams, level reached, what it costs."""
    import contextlib

    from drtool.operations.contents import Contents
    from drtool.operations.retention.protecting import holding, protected
    from drtool.repository.reader import ChunkReader

    with repository(context) as opened:
        found = known(context, opened)
        chosen = found.choose(name)
        snapshot = chosen.snapshot
        pins = protected(found, holding(opened)[0]).get(snapshot.id, ())
        refresh_index(opened, context.reporter())
        with contextlib.closing(ChunkReader(opened)) as reader:
            streams = Contents(reader, snapshot.manifest).streams()
        signer = opened.document.name_of(snapshot.signer)
    level = found.level(snapshot)
    suspect = found.is_suspect(snapshot)
    reasons = [pin.reason for pin in pins]
    _report(context.output, chosen, level, signer, streams, suspect=suspect)
    context.output.result(tags=list(snapshot.manifest.tags), protected=reasons)
    if chosen.distance is not None:
        context.output.text(f"taken {duration(chosen.distance.total_seconds())} before the time asked for")
    _show(context.output, snapshot, level, signer, _records(streams), suspect=suspect)
    for reason in reasons:
        context.output.text(f"protected    {reason}")
    if snapshot.manifest.tags:
        context.output.text(f"tags         {', '.join(snapshot.manifest.tags)}")
    _show_streams(context.output, streams)


def _report(
    output: Output, chosen: Chosen, level: Reached, signer: str, streams: Sequence[StreamEntry], *, suspect: bool
) -> None:
    from dataclasses import asdict

    snapshot, manifest = chosen.snapshot, chosen.snapshot.manifest
    figures = manifest.statistics
    for entry in streams:
        output.line(
            "stream",
            source=entry.source,
            name=entry.name,
            kind=entry.kind,
            consistency=entry.consistency,
            proof=entry.proof,
            records=entry.records,
            bytes=entry.bytes,
            chunks=entry.chunks,
            **({"beside": entry.beside} if entry.beside else {}),
        )
    output.result(
        snapshot=snapshot.id,
        distance=chosen.distance,
        job=manifest.job,
        instant=manifest.instant,
        created=manifest.created,
        consistency=manifest.consistency,
        level=level.level.label,
        verified_at=level.at,
        proof=level.proof,
        suspect=suspect,
        base=manifest.base,
        number=manifest.number,
        head=snapshot.hash,
        host=manifest.host,
        signer=signer,
        tool=manifest.tool,
        sources=[asdict(source) for source in manifest.sources],
        streams=len(streams),
        records=_records(streams),
        bytes={
            "total": figures.bytes,
            "read": figures.read_bytes,
            "new": figures.new_bytes,
            "stored": figures.stored_bytes,
        },
        chunks={"total": figures.chunks, "new": figures.new_chunks},
        seconds=figures.seconds,
        source_distance=manifest.distance,
    )


def _records(streams: Sequence[StreamEntry]) -> int:
    """How many there are; what completes a record (its vectors) is part of it."""
    return sum(entry.records for entry in streams if not entry.beside)


def _show(output: Output, snapshot: Snapshot, level: Reached, signer: str, records: int, *, suspect: bool) -> None:
    manifest, figures = snapshot.manifest, snapshot.manifest.statistics
    verified = f"{level.level.label} on {level.at}" if level.at else "not verified yet"
    output.text(f"snapshot     {snapshot.id}  (number {manifest.number} of job {manifest.job})")
    output.text(f"instant      {manifest.instant}  {manifest.consistency}")
    output.text(
        f"created      {manifest.created} on {manifest.host}, signed by {signer}, in {duration(figures.seconds)}"
    )
    output.text(f"verified     {verified}" + ("; the last verification FAILED" if level.last_failed else ""))
    if suspect:
        output.text("SUSPECT      it may lack changes: a later increment found one that the source had not told of")
    output.text(f"size         {records:,} records, {size(figures.bytes)}, {figures.chunks} chunks")
    output.text(f"increment    {'of ' + manifest.base if manifest.base else 'no, everything was read'}")
    new = f"{size(figures.new_bytes)} of it new, stored as {size(figures.stored_bytes)}"
    output.text(f"cost         {size(figures.read_bytes)} read, {new}")
    output.text(f"head         {snapshot.hash}")
    for source in manifest.sources:
        output.text(
            f"source       {source.name}: {source.type} {source.version}, {source.topology}, at {source.instant}"
        )
        for path, told in source.point.get("git", {}).items():
            output.text(f"             {path}: {_checkout(told)}")
        for warning in source.warnings:
            output.text(f"             {warning}")
    if manifest.distance is not None:
        output.text(f"apart        {apart(manifest.distance)}: the largest distance between the sources' instants")


def _checkout(told: Mapping[str, Any]) -> str:
    """What git said of a tree of files (docs/format.md, "Files")."""
    if "commit" not in told:
        return f"a git checkout of which nothing is known: {told.get('unknown', '')}"
    return f"git commit {told['commit']}" + ("" if told.get("clean") else ", and changes on top of it")


def _show_streams(output: Output, streams: Sequence[StreamEntry]) -> None:
    """A line each; what completes a stream stands in its line."""
    from drtool.operations.contents import weakest_proof
    from drtool.sources.reading import Consistency

    parts = {(entry.source, entry.name): [entry] for entry in streams if not entry.beside}
    for entry in streams:
        if entry.beside:
            parts.setdefault((entry.source, entry.beside), []).append(entry)
    output.text()
    rows = []
    for (source, name), entries in parts.items():
        main, total = entries[0], sum(entry.bytes for entry in entries)
        chunks, proof = sum(entry.chunks for entry in entries), weakest_proof(entries)
        consistency = max((Consistency(entry.consistency) for entry in entries), key=list(Consistency).index)
        rows.append((f"{source}/{name}", main.kind, consistency, proof, f"{main.records:,}", size(total), chunks))
    columns = ("STREAM", "KIND", "CONSISTENCY", "PROVABLE", "RECORDS", "SIZE", "CHUNKS")
    output.table(columns, rows, right=("RECORDS", "SIZE", "CHUNKS"))

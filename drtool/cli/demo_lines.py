"""The chapters of ``drtool demo`` in words."""

from __future__ import annotations

from collections.abc import Iterator

from drtool.cli.units import size
from drtool.operations.backup.committing import BackupResult
from drtool.operations.demo.steps import (
    BackupFigures,
    CleanupFigures,
    DisasterFigures,
    Figures,
    IncrementFigures,
    KeyFigures,
    RepositoryFigures,
    RestoreFigures,
    RotationFigures,
    SeedFigures,
    ServerFigures,
    TamperFigures,
    VerifyFigures,
)


def lines_of(figures: Figures) -> Iterator[str]:
    """What a chapter's figures say, a line each."""
    match figures:
        case ServerFigures():
            yield f"MongoDB {figures.version}, a replica set of one node, on loopback, and an embedded Qdrant"
            yield f"({figures.program})"
            yield f"Its data, the repository and the keys are in {figures.directory}"
        case SeedFigures():
            yield from _seeded(figures)
        case RepositoryFigures():
            yield f"repository {figures.repository[:8]} in {figures.path}"
            yield "agent.key     the backup host's: writes, lists and checks backups, and cannot read one"
            yield "identity.key  reads every backup: it belongs in a safe, not on the backup host"
        case BackupFigures():
            yield from _backed_up(figures.backup)
            yield f"meanwhile {figures.committed} transfers were committed; {figures.included} of them are in it"
            yield "Is it whole, and of one instant? Its accounts and its ledger, restored beside the live ones:"
        case KeyFigures():
            yield f"With agent.key alone: {_count(figures.snapshots, 'snapshot')} listed, with the names of"
            yield f"{figures.streams} collections and views; {figures.objects} objects ({size(figures.bytes)}) checked."
            yield "Then we try to read an account:"
            yield f"error: {figures.refusal}"
        case IncrementFigures():
            yield (
                f"{figures.updated} transactions updated, {figures.inserted} inserted, {figures.deleted} deleted;"
                f" {figures.documents} new documents"
            )
            yield from _backed_up(figures.backup)
        case VerifyFigures():
            yield f"snapshot {figures.snapshot}: {figures.records:,} records restored into a second, private server"
            yield "and read back: every chunk, every definition, the server's own hash of each collection."
            yield "So are vectors and settings, each in a sandbox of its own; and what must hold between the sources:"
            yield from figures.relations
            yield f"level {figures.level}, proof {figures.proof}, in {figures.seconds:.1f} s; signed evidence is kept"
        case DisasterFigures():
            yield (
                f"{figures.documents:,} documents, {figures.vectors:,} vectors and {figures.files} files were there a"
                " moment ago"
            )
        case RestoreFigures():
            rate = figures.bytes / max(figures.seconds, 1e-9)
            yield f"snapshot {figures.snapshot}, to the instant {figures.recovered_to:%Y-%m-%d %H:%M:%S} UTC"
            yield (
                f"{figures.records:,} records in {figures.streams} collections, views and trees, {size(figures.bytes)},"
                f" in {figures.seconds:.1f} s ({size(rate)}/s, indexes included)"
            )
            yield "(of a time series, the records are its buckets; below, its measurements are counted)"
        case TamperFigures():
            yield f"One bit of {figures.object[:20]}… is turned, in the byte at {figures.offset:,}."
            yield f"With agent.key alone, the {figures.objects} objects of the snapshot are checked again:"
            yield f"error: {figures.message}"
        case RotationFigures():
            yield f"Simulated: a backup every 6 hours, and each day the policy '{figures.policy}'"
            for each in figures.course:
                yield f"day {each.days:3}: {each.snapshots:2} remain, which lead back {_count(each.oldest, 'day')}"
            yield f"of {figures.taken:,} taken in all (drtool retention simulate draws it for any policy)"
        case CleanupFigures():
            if figures.kept:
                yield f"kept, as you asked: {figures.directory}"


def _seeded(figures: SeedFigures) -> Iterator[str]:
    counts = figures.collections
    yield (
        f"{counts['transactions']:,} transactions ({figures.transfers} of them transfers, each a multi-document"
        f" transaction), {counts['accounts']:,} accounts,"
    )
    yield (
        f"{counts['documents']:,} documents with {figures.dimensions}-dimensional embeddings, {counts['sessions']}"
        f" sessions, {counts['metrics']:,} measurements (time series),"
    )
    yield f"{figures.vectors:,} of those embeddings in the vector store, too; a small tree of settings,"
    yield f"a GridFS file of {size(figures.file_bytes)}, a view, {figures.indexes} indexes: {size(figures.bytes)}"


def _backed_up(result: BackupResult) -> Iterator[str]:
    yield (
        f"snapshot {result.snapshot}: {result.records:,} records, {size(result.bytes)},"
        f" {result.consistency}, in {result.seconds:.1f} s"
    )
    yield (
        f"{result.new_chunks} of {result.chunks} chunks were new: {size(result.new_bytes)}, stored as"
        f" {size(result.stored_bytes)} (compressed, encrypted)"
    )
    yield f"its instant is {result.instant:%Y-%m-%d %H:%M:%S} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

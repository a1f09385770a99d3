"""What needs the identity: restoring the newest snapshot, and trying it out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from drtool.config.root import Config
from drtool.operations.budget import Budget
from drtool.operations.catalogue import read_known
from drtool.operations.choosing import LATEST
from drtool.operations.demo.steps import Check, RestoreFigures, VerifyFigures
from drtool.operations.opening import repository_of
from drtool.operations.reporting import Reporter
from drtool.operations.restore.allotting import Asked
from drtool.operations.restore.restore import Restore
from drtool.operations.restore.together import Together
from drtool.operations.restore.wishing import Wish
from drtool.operations.runs import registered
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verification, Verifier
from drtool.repository.levels import Level
from drtool.sources.base import Source
from drtool.sources.reading import Proof


def restore_latest(
    config: Config,
    source: Source,
    budget: Budget,
    reporter: Reporter,
    uri: str,
    *,
    rename: Sequence[tuple[str, str]] = (),
    only: bool = False,
) -> RestoreFigures:
    """Restore the newest snapshot to `uri` under the same names but for `rename`; with `only`, nothing but those."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository, reads_data=True))
        snapshot = read_known(opened).choose(LATEST).snapshot
        stack.enter_context(registered(opened, "restore", snapshot.manifest.job, reporter))
        opened.refresh_index()
        chosen = tuple(old for old, _ in rename) if only else ()
        wish = Wish(to=uri, only=chosen, rename=tuple(rename))
        restore = Restore(opened, snapshot, source, wish, budget, reporter)
        stack.callback(restore.close)
        result = restore.run(restore.prospect())
    return RestoreFigures(
        snapshot=snapshot.id,
        records=result.records,
        expected_records=result.expected_records,
        streams=result.streams,
        bytes=result.bytes,
        seconds=result.seconds,
        recovered_to=result.recovered_to,
    )


def restore_all(
    config: Config, sources: Sequence[Source], budget: Budget, reporter: Reporter, places: Mapping[str, str]
) -> RestoreFigures:
    """Restore all sources of the newest snapshot, each under the same names to its place."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository, reads_data=True))
        snapshot = read_known(opened).choose(LATEST).snapshot
        stack.enter_context(registered(opened, "restore", snapshot.manifest.job, reporter))
        opened.refresh_index()
        asked = Asked(tuple(f"{name}={place}" for name, place in places.items()))
        together = Together(opened, snapshot, sources, asked, budget, reporter)
        stack.callback(together.close)
        results = list(together.run(together.prospects()))
    return RestoreFigures(
        snapshot=snapshot.id,
        records=sum(result.records for result in results),
        expected_records=sum(result.expected_records for result in results),
        streams=sum(result.streams for result in results),
        bytes=sum(result.bytes for result in results),
        seconds=sum(result.seconds for result in results),
        recovered_to=max(result.recovered_to for result in results),
    )


def verify_latest(
    config: Config, sources: Sequence[Source], budget: Budget, reporter: Reporter
) -> tuple[VerifyFigures, list[Check]]:
    """Raise the newest snapshot to `restored`."""
    by_name = {source.name: source for source in sources}
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository, reads_data=True))
        snapshot = read_known(opened).choose(LATEST).snapshot
        stack.enter_context(registered(opened, "verify", "", reporter))
        opened.refresh_index()
        verifier = Verifier(opened, budget, reporter, lambda origin: by_name[origin.name], config.relations)
        stack.callback(verifier.close)
        outcome = verifier.verify(snapshot, Level.RESTORED, Sample())
        reached = read_known(opened).level(snapshot)
    problems = "; ".join(problem.message for problem in outcome.problems[:5])
    equal = outcome.ok and outcome.proof in (Proof.IDENTICAL, Proof.CANONICAL)  # of files, by whether it is root's
    expected = snapshot.manifest.statistics.records
    checks = [
        Check("sandbox-equal", equal, problems or f"what the sandbox held is {outcome.proof} to what was backed up"),
        Check(
            "all-compared",
            outcome.checked.records == expected,
            f"{outcome.checked.records:,} of {expected:,} records were compared",
        ),
        _dbhash(outcome),
        *(Check("relation", bool(one.ok), one.message) for one in outcome.relations),
        Check("level", reached.level is Level.RESTORED, f"the signed evidence says: {reached.level.label}"),
    ]
    figures = VerifyFigures(
        snapshot=snapshot.id,
        level=reached.level.label,
        proof=outcome.proof or "",
        relations=tuple(one.message for one in outcome.relations),
        objects=outcome.checked.objects,
        chunks=outcome.checked.chunks,
        records=outcome.checked.records,
        seconds=outcome.seconds,
    )
    return figures, checks


def _dbhash(outcome: Verification) -> Check:
    """Verification at this level compares the server's dbHash with the MD5 of the records, collection by collection."""
    different = [problem.message for problem in outcome.problems if problem.kind == "digest-differs"]
    equal = "each collection's dbHash in the sandbox is the one that drtool computed over its records"
    message = "; ".join(different) or (equal if outcome.ok else "not every collection's dbHash was compared")
    return Check("sandbox-dbhash", outcome.ok, message)

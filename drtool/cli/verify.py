"""``drtool verify``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from drtool.cli.choices import known, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import apart, counted, duration, size
from drtool.errors import VerificationFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drtool.operations.contents import Problem
    from drtool.operations.verify.inspecting import Sample
    from drtool.operations.verify.logcheck import LogChecked
    from drtool.operations.verify.verify import Verification
    from drtool.repository.levels import Level

_SHOWN = 10
_DAMAGED = "The problems are listed above. drtool repair snapshots says what is lost, and what can be healed."
_UNRELATED = (
    "Everything came back as it was read, but its parts do not fit together: find out in the sources why, or say with"
    " slack how many may not."
)


@drtool_command(
    example="""
drtool verify latest --level restored
drtool verify --level intact
drtool verify --level readable --share 3/7
"""
)
@click.argument("names", nargs=-1, metavar="[SNAPSHOT]...")
@click.option(
    "--level",
    type=click.Choice(["listed", "intact", "readable", "restored"]),
    default="intact",
    show_default=True,
    help="How far: every object is there; has its checksum; decrypts; restores and compares equal.",
)
@click.option("--sample", metavar="P%", help="Read a random part of the packs only.")
@click.option("--share", metavar="K/N", help="Read the K-th of N parts: N runs read everything.")
def command(context: Context, names: tuple[str, ...], level: str, sample: str | None, share: str | None) -> None:
    """Raise snapshots to a level of verification, and record it.

    Without an argument all snapshots, and then the archived logs and whatever else the repository holds. listed and
    intact need the agent key only; readable and restored need the identity. restored starts a private server, restores
    into it, and compares record by record. Exits with 4 when something is wrong.
    """
    from drtool.operations.verify.inspecting import Sample
    from drtool.operations.verify.verify import parse_level

    wanted, chosen = parse_level(level), Sample.parse(sample, share)
    with context.attended("verify") as run:
        run.figures["level"] = level
        _verify(context, names, wanted, chosen, run.figures)


def _verify(
    context: Context, names: Sequence[str], wanted: Level, chosen_sample: Sample, figures: dict[str, Any]
) -> None:
    """Verify what is named; `figures` are kept in the run's record."""
    from drtool.operations.budget import Budget
    from drtool.operations.contents import Problem
    from drtool.operations.opening import source_like
    from drtool.operations.runs import registered
    from drtool.operations.verify.logcheck import LogCheck
    from drtool.operations.verify.soundness import Soundness
    from drtool.operations.verify.verify import Verifier
    from drtool.repository.levels import Level

    level = wanted.label
    config = context.config()
    reporter = context.reporter()
    failed: list[str] = []
    kinds: set[str] = set()
    logs: list[Problem] = []
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context, reads_data=wanted >= Level.READABLE, from_store=True))
        # Before snapshots are listed: of what is removed from then on nothing goes until this run has ended.
        stack.enter_context(registered(opened, "verify", "", reporter))
        found = known(context, opened)
        if not opened.state.is_acquainted():
            reporter.warn(
                "this host has known the repository for less than a day: that it is the newest state is unproven"
            )
        snapshots = [found.choose(name).snapshot for name in names] or list(found.catalogue.snapshots)
        problems = [Problem.of(error) for error in (*found.problems, *refresh_index(opened, reporter))]
        budget = Budget.within(config.limits.memory, config.limits.readers)
        verifier = Verifier(
            opened, budget, reporter, lambda origin: source_like(stack, origin, config.sources), config.relations
        )
        stack.callback(verifier.close)
        for snapshot in snapshots:
            outcome = verifier.verify(snapshot, wanted, chosen_sample)
            _show(context, outcome)
            _add(figures, outcome)
            if not outcome.ok:
                failed.append(snapshot.id)
                kinds.update(problem.kind for problem in outcome.problems)
        if not names:
            problems += Soundness(opened).problems(wanted)
            for log in LogCheck(opened, reporter).check(wanted, chosen_sample, config.sources):
                _show_log(context, level, log)
                logs += log.problems
        _show_others(context, level, problems)
    context.output.result(verified=len(snapshots) - len(failed), failed=failed)
    figures |= {"verified": len(snapshots) - len(failed), "failed": failed, "problems": len(problems) + len(logs)}
    if not snapshots:
        context.output.text("no snapshots to verify")
    if failed:
        raise VerificationFailedError(
            f"{len(failed)} of {len(snapshots)} snapshots failed: {', '.join(failed)}",
            hint=_UNRELATED if kinds == {"relation"} else _DAMAGED,
        )
    if problems or logs:
        raise VerificationFailedError(
            f"the snapshots are good, but: {[*problems, *logs][0].message}",
            hint="drtool pitr status says which moments can be restored still." if logs and not problems else "",
        )


def _add(figures: dict[str, Any], outcome: Verification) -> None:
    checked = outcome.checked
    for name, count in (("objects", checked.objects), ("chunks", checked.chunks), ("bytes", checked.bytes)):
        figures[name] = figures.get(name, 0) + count


def _show(context: Context, outcome: Verification) -> None:
    from dataclasses import asdict

    output = context.output
    for relation in outcome.relations:
        output.line("relation", snapshot=outcome.snapshot.id, **asdict(relation), message=relation.message)
    output.line(
        "verification",
        snapshot=outcome.snapshot.id,
        level=outcome.level.label,
        ok=outcome.ok,
        share=outcome.share,
        proof=outcome.proof,
        seconds=round(outcome.seconds, 3),
        checked=asdict(outcome.checked),
        problems=[asdict(problem) for problem in outcome.problems],
        tolerated=[asdict(one) for one in outcome.tolerated],
        relations=len(outcome.relations),
    )
    checked = outcome.checked
    figures = f"{counted(checked.objects, 'object')}, {counted(checked.chunks, 'chunk')}"
    figures += f", {size(checked.bytes)} read" if checked.bytes else ""
    figures += f", {checked.records:,} records compared" if checked.records else ""
    part = f" ({outcome.share:.0%} of it)" if outcome.share < 1 else ""
    if outcome.ok:
        proof = f", proof {outcome.proof}" if outcome.proof else ""
        output.ok(
            f"{outcome.snapshot.id}: {outcome.level.label}{part}{proof}; {figures} in {duration(outcome.seconds)}"
        )
    else:
        output.text(f"✗ {outcome.snapshot.id}: not {outcome.level.label}; {figures}")
        _show_problems(context, [problem for problem in outcome.problems if problem.kind != "relation"])
    for one in outcome.tolerated:
        output.text(f"    {one.stream}: equal within its tolerance, {one.largest_error}")
    _show_relations(context, outcome)


def _show_relations(context: Context, outcome: Verification) -> None:
    for relation in outcome.relations:
        mark = {True: "✓", False: "✗", None: "?"}[relation.ok]
        context.output.text(f"  {mark} {relation.message}")
        if relation.sample:
            context.output.text(f"      for instance {', '.join(relation.sample)}")
    distance = outcome.snapshot.manifest.distance
    if distance and any(relation.unfit for relation in outcome.relations):
        context.output.text(f"      (the sources' instants lie {apart(distance)} apart)")


def _show_log(context: Context, level: str, log: LogChecked) -> None:
    from dataclasses import asdict

    context.output.line(
        "verification",
        snapshot=None,
        log=log.source,
        level=level,
        ok=log.ok,
        checked={"objects": log.segments + log.packs, "chunks": log.chunks, "bytes": log.size, "records": 0},
        problems=[asdict(problem) for problem in log.problems],
    )
    figures = f"{counted(log.segments, 'segment')}, {counted(log.packs, 'pack')}"
    figures += f", {size(log.size)} read" if log.size else ""
    if log.ok:
        context.output.ok(f"the archived log of {log.source}: {level}; {figures}")
        return
    context.output.text(f"✗ the archived log of {log.source}: not {level}; {figures}")
    _show_problems(context, log.problems)


def _show_others(context: Context, level: str, problems: Sequence[Problem]) -> None:
    """What is wrong with the repository beside snapshots and logs, if something is."""
    from dataclasses import asdict

    if not problems:
        return
    found = [asdict(problem) for problem in problems]
    context.output.line("verification", snapshot=None, level=level, ok=False, checked={}, problems=found)
    context.output.text("✗ the repository:")
    _show_problems(context, problems)


def _show_problems(context: Context, problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        stream = f" (stream {problem.stream})" if problem.stream else ""
        context.output.text(f"    {problem.message}{stream}")
    if len(problems) > _SHOWN:
        context.output.text(f"    … and {len(problems) - _SHOWN} more; --json lists all")

"""``drtool retention simulate``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.drawing import age_of, timeline
from drtool.cli.logs import Duration
from drtool.cli.retention_list import configuration_path
from drtool.cli.units import counted, duration
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.config.policies import Policy
    from drtool.operations.retention.simulating import Simulation


@drtool_command(
    example="""
drtool retention simulate standard --every 1d --for 2y
drtool retention simulate ./retention/mine.yaml --every 6h --for 6m --json
drtool retention simulate standard --times times.txt
"""
)
@click.argument("policy", metavar="POLICY")
@click.option("--times", type=click.File(encoding="utf-8"), metavar="FILE", help="Backups at these times, one a line.")
@click.option("--every", "interval", type=Duration(), metavar="D", help="A backup every 30m (minutes), 6h, 1d …")
@click.option("--for", "span", metavar="D", help="… for 90d, 6m (months), 2y.")
@click.option("--now", "at", metavar="TIME", help="As of this time; without it, the present.")
def command(
    context: Context, policy: str, times: TextIO | None, interval: float | None, span: str | None, at: str | None
) -> None:
    """Show what a policy would keep over time.

    Needs no repository. POLICY is the name of one (drtool retention list) or the path of a file. A line of --times is
    an ISO 8601 time, optionally followed by tags. What guards keep beyond the policy is not shown.
    """
    from drtool.config.policies import find_policy
    from drtool.operations.pitr.times import parse_moment
    from drtool.operations.retention.simulating import check_present, parse_times, simulate

    if (times is None) == (interval is None) or (interval is None) != (span is None):
        raise UsageError("say which backups: --times FILE, or --every D with --for D")
    rules = find_policy(policy, _directory(context, policy))
    now = datetime.now(UTC) if at is None else check_present(parse_moment(at))
    if times is not None:
        simulation = simulate(parse_times(times, times.name), rules.rules, now)
        _report(context, rules, simulation)
        _show_decisions(context, simulation)
        return
    assert interval is not None
    assert span is not None
    simulation = _regular(rules, interval, span, now)
    _report(context, rules, simulation)
    _draw(context, rules, simulation, f"every {duration(interval)} for {span}")


def _directory(context: Context, policy: str) -> Path:
    """Where a policy is looked for: a name beside the configuration, if there is one, and a path from here."""
    from drtool.config.model import NAME_PATTERN

    found = configuration_path(context) if re.fullmatch(NAME_PATTERN, policy) else None
    return Path.cwd() if found is None else found.absolute().parent


def _regular(policy: Policy, interval: float, span: str, now: datetime) -> Simulation:
    from drtool.config.spans import parse_span
    from drtool.operations.retention.simulating import every, simulate

    try:
        length = parse_span(span)
    except ValueError as error:
        raise UsageError(f"--for {span}: {error}") from error
    try:
        between = timedelta(seconds=interval)
    except OverflowError:
        raise UsageError("--every: that is longer than any calendar") from None
    present = now.replace(microsecond=0)
    return simulate(every(between, length, present), policy.rules, present + timedelta(seconds=1))


def _report(context: Context, policy: Policy, simulation: Simulation) -> None:
    kept = simulation.kept
    for one, why in zip(simulation.taken, simulation.reasons, strict=True):
        context.output.line("decision", time=one.time, tags=one.tags, keep=bool(why), reasons=list(why))
    context.output.result(
        policy=policy.name,
        snapshots=len(simulation.taken),
        keep=len(kept),
        oldest=kept[-1] if kept else None,
        newest=kept[0] if kept else None,
    )


def _show_decisions(context: Context, simulation: Simulation) -> None:
    rows = [
        (one.time.isoformat(), "keep" if why else "REMOVE", "; ".join(why))
        for one, why in zip(simulation.taken, simulation.reasons, strict=True)
    ]
    context.output.table(("TAKEN", "", "BECAUSE"), rows)
    kept = len(simulation.kept)
    context.output.text(f"{kept:,} of {counted(len(rows), 'snapshot')} {'stays' if kept == 1 else 'stay'}")


def _staying(count: int) -> str:
    return f"{count:,} {'stays' if count == 1 else 'stay'}"


def _draw(context: Context, policy: Policy, simulation: Simulation, what: str) -> None:
    from drtool.operations.retention.simulating import course, stretches

    output = context.output
    remaining = course(simulation.taken, policy.rules)
    output.result(
        course=[{"after": one.after, "keep": len(one.ages), "oldest": max(one.ages)} for one in remaining if one.ages]
    )
    if output.json:
        return
    output.text(f"{policy.name}: {policy.rules.summary()}")
    total = counted(len(simulation.taken), "snapshot")
    output.text(f"{what}: {total}, {_staying(len(simulation.kept))}")
    output.text()
    for line in timeline(remaining):
        output.text(line)
    output.text()
    rows = [(age_of(s.age), s.count, age_of(s.gap)) for s in stretches(remaining[-1])]
    output.table(("BACK TO", "SNAPSHOTS", "AT MOST APART"), rows, right=("SNAPSHOTS",))

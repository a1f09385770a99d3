"""``drtool doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import expanded
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted
from drtool.errors import ExaminationFailedError, UsageError

if TYPE_CHECKING:
    from drtool.cli.output import Output
    from drtool.config.root import Config

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


@drtool_command(
    example="""
drtool doctor
drtool doctor --storage --json
drtool doctor --to mongodb://standby/
drtool doctor --print-roles backup
drtool doctor --policy agent
"""
)
@click.option("--storage", is_flag=True, help="Run the conformance suite against the store (some 100 MB of traffic).")
@click.option(
    "--print-roles",
    "purpose",
    type=click.Choice(["backup", "restore", "replay", "all"]),
    help="Print the commands that create the role with the least privileges, for each source, and do nothing else.",
)
@click.option(
    "--to",
    metavar="URI",
    help="Look only at what the account in URI may do of what restore --to URI does (${NAME} too).",
)
@click.option(
    "--policy",
    "role",
    type=click.Choice(["agent", "maintenance"]),
    help="Print what a backup host, or who cleans up, should be allowed to do (as IAM has it), and do nothing else.",
)
@click.option("--principal", "principals", multiple=True, metavar="ARN", help="For --policy: whom the bucket lets.")
def command(
    context: Context,
    storage: bool,
    purpose: str | None,
    to: str | None,
    role: str | None,
    principals: tuple[str, ...],
) -> None:
    """Find out whether a backup and a restore would work from here.

    Looks at the configuration, host, keys, store, clock, repository, sources and tools, at what the accounts may do,
    and at whether the repository could be destroyed with the credentials at hand, which it tries on a canary; then at
    whether schedules are installed and run, and whether whoever is to be told can be reached. With --storage it tries
    every guarantee that drtool rests on, on objects of its own, and says what is lost where the store lacks one.
    """
    from drtool.operations.doctor.examining import examine
    from drtool.operations.doctor.findings import Verdict
    from drtool.operations.doctor.sources import examine_target
    from drtool.operations.doctor.store import examine_storage

    config = context.config()
    output = context.output
    if role is not None:
        _print_policy(config, output, role, principals)
        return
    if purpose is not None:
        _print_roles(config, output, purpose)
        return
    if storage and to is not None:
        raise UsageError("--storage and --to are two examinations", hint="Run one after the other.")
    counts = dict.fromkeys(Verdict, 0)
    target = None if to is None else expanded("--to", to)
    findings = examine_storage(config.repository) if storage else examine(config)
    for finding in findings if target is None else examine_target(config, target):
        counts[finding.verdict] += 1
        output.line("check", check=finding.check, verdict=finding.verdict, message=finding.message, hint=finding.hint)
        output.text(f"{_MARKS[finding.verdict]} {finding.check}" + (f": {finding.message}" if finding.message else ""))
        if finding.hint and finding.verdict is not Verdict.OK:
            output.text(f"    {finding.hint}")
    output.result(checks={verdict.value: count for verdict, count in counts.items()})
    if counts[Verdict.FAILED]:
        raise ExaminationFailedError(f"{counted(counts[Verdict.FAILED], 'check')} failed, listed above")


def _print_policy(config: Config, output: Output, role: str, principals: tuple[str, ...]) -> None:
    from drtool.operations.policies import policy_for

    policy = policy_for(config.repository, role, principals)
    output.result(policy=policy)
    output.text(json.dumps(policy, indent=2))


def _print_roles(config: Config, output: Output, purpose: str) -> None:
    from drtool.operations.doctor.sources import roles_of

    printed = 0
    for source, of, commands in roles_of(config):
        if purpose in (of, "all"):
            output.line("role", source=source, purpose=of, commands=commands)
            output.text(f"// source {source}: {of}\n{commands}\n")
            printed += 1
    output.result(roles=printed)

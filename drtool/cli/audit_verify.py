"""``drtool audit verify``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted
from drtool.errors import VerificationFailedError

if TYPE_CHECKING:
    from drtool.operations.unattended.auditing.checking import Audit, Finding, LogState


@drtool_command(
    example="""
drtool audit verify
drtool audit verify --local --json
drtool audit verify --accept "the disk of host2 was replaced on 3 August"
"""
)
@click.option("--local", is_flag=True, help="Look at this host's log only; the store need not answer.")
@click.option("--accept", "reason", metavar="REASON", help="Put on record that what is wrong now is known, and why.")
def command(context: Context, local: bool, reason: str | None) -> None:
    """Check that nothing was cut from the audit log, altered or put in.

    This host's log, what the repository has of all hosts' logs, and whether the two agree. Each finding says which
    entry it is about. Exits with 4 when something is wrong that nobody has accepted.
    """
    from drtool.operations.unattended.auditing.checking import accept, check_audit
    from drtool.operations.unattended.auditing.entries import by_whom
    from drtool.operations.unattended.auditing.place import Place

    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Place.of(context.config()).log())
        opened = None if local else stack.enter_context(repository(context, from_store=True))
        audit = check_audit(log, opened)
        found = audit.open()
        if reason is not None and found:
            accept(log, audit, reason, by_whom())
    for state in audit.logs:
        _show(context, audit, state)
    for finding in audit.findings:
        _show_finding(context, audit, finding)
    context.output.result(logs=len(audit.logs), problems=[_fields(audit, finding) for finding in audit.all()])
    if found and reason is None:
        raise VerificationFailedError(
            f"{counted(len(found), 'thing')} in the audit log is not as it was written: {found[0].message}"
            if len(found) == 1
            else f"{len(found)} things in the audit log are not as they were written: {found[0].message}",
            hint="Find out who could write there, and compare with the repository's copies and the bucket's versions."
            " What is known and explained is put on record with --accept REASON.",
        )
    if found:
        context.output.ok(f"{counted(len(found), 'finding')} put on record as known: {reason}")


def _show(context: Context, audit: Audit, state: LogState) -> None:
    context.output.line(
        "audit_log",
        log=state.log,
        host=state.host,
        place="host" if state.is_here else "repository",
        entries=state.entries,
        last_at=state.last_at or None,
        torn=state.torn,
        ok=not state.findings,
        problems=[_fields(audit, finding) for finding in state.findings],
    )
    name = f"{state.host}, {'this host' if state.is_here else 'in the repository'}"
    figures = counted(state.entries, "entry", "entries") + (f", the last at {state.last_at}" if state.last_at else "")
    if not state.findings:
        context.output.ok(f"{name}: {figures}")
    else:
        context.output.text(f"✗ {name}: {figures}")
    if state.torn:
        context.output.text(f"  a crash cut off {counted(state.torn, 'line')}")
    for finding in state.findings:
        _show_finding(context, audit, finding)


def _show_finding(context: Context, audit: Audit, finding: Finding) -> None:
    known = " (accepted)" if finding.key in audit.accepted else ""
    context.output.text(f"  ✗ {finding.message}{known}")


def _fields(audit: Audit, finding: Finding) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(finding), "accepted": finding.key in audit.accepted}

"""``drtool audit show``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.unattended.auditing.reading import Told, Wanted


@drtool_command(
    example="""
drtool audit show --since 24h
drtool audit show --command restore --repository
drtool audit show --command key --json
"""
)
@click.option("--since", metavar="TIME", help="Only what began since then: ISO 8601, or a span such as 24h or 7d.")
@click.option("--command", "name", metavar="C", help="Only this command, or group of commands.")
@click.option("--repository", "everywhere", is_flag=True, help="What the repository has, of all hosts.")
def command(context: Context, since: str | None, name: str | None, everywhere: bool) -> None:
    """Show who changed something or read data back, from where, and how it ended.

    Of this host, or with --repository of all hosts as far as their entries have reached the repository. A command that
    was killed has no end. What is shown is checked with drtool audit verify.
    """
    from drtool.operations.unattended.auditing.place import Place
    from drtool.operations.unattended.auditing.reading import Wanted, told_everywhere, told_here

    wanted = Wanted(_since(since), name)
    if everywhere:
        with repository(context) as opened:
            found, problems = told_everywhere(opened, wanted)
        for problem in problems:
            context.reporter().warn(problem.message)
    else:
        with Place.of(context.config()).log() as log:
            found = told_here(log, wanted)
    for told in found:
        context.output.line("audit", **_fields(told))
    rows = [(_when(told), _who(told), _where(told), _what(told), _outcome(told)) for told in found]
    context.output.table(("WHEN", "WHO", "FROM", "COMMAND", "RESULT"), rows)
    if not found:
        context.output.text(f"nothing is in the audit log{_of(wanted)}")
    context.output.result(entries=len(found))


def _since(text: str | None) -> datetime | None:
    from drtool.config.model import parse_duration
    from drtool.operations.pitr.times import parse_moment

    if text is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except ValueError:
        return parse_moment(text)
    except OverflowError:
        raise UsageError(f"--since {text}: that was before all times") from None


def _fields(told: Told) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(told)


def _of(wanted: Wanted) -> str:
    since = f" since {wanted.since.isoformat(timespec='seconds')}" if wanted.since is not None else ""
    return f" of {wanted.command}{since}" if wanted.command is not None else since


def _when(told: Told) -> str:
    try:
        return datetime.fromisoformat(told.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return told.at


def _who(told: Told) -> str:
    user = str(told.who.get("user", "?"))
    before = told.who.get("sudo_user") or told.who.get("login")
    return f"{before} as {user}" if before and before != user else user


def _where(told: Told) -> str:
    ssh = told.where.get("ssh")
    host = f"{told.where.get('host', '?')} ({told.who.get('by', '?')})"
    return f"{host} from {ssh}" if ssh else host


def _what(told: Told) -> str:
    return " ".join((told.command, *told.arguments))


def _outcome(told: Told) -> str:
    if told.state in ("running", "no-end"):
        return "no end: killed, or unable to write it" if told.state == "no-end" else "running"
    if told.state == "failed":
        return f"exit {told.exit_code} ({told.kind})" if told.kind else f"exit {told.exit_code}"
    snapshots = told.result.get("snapshots") or [told.result.get("snapshot")]
    named = ", ".join(str(one) for one in snapshots if one)
    return f"ok: {named}" if named else "ok"

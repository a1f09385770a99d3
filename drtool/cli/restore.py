"""``drtool restore``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import expanded, known, origins_of, pairs, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.recovery import Aim, announce_recovery, find_recovery, hint_at_closer
from drtool.cli.replacing import announce_replacing, replacing
from drtool.cli.restore_lines import announce, show_refusal, show_results
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.catalogue import Known
    from drtool.operations.choosing import Chosen
    from drtool.operations.pitr.recovering import Recovery
    from drtool.operations.restore.allotting import Asked
    from drtool.operations.restore.together import Together
    from drtool.repository.chain import Snapshot
    from drtool.repository.repository import Repository


@drtool_command(
    example="""
drtool restore latest
drtool restore latest-verified --source app --rename app=app_check
drtool restore nightly@2026-08-01T00:00:00Z --only app.users --to app=mongodb://standby/
drtool restore latest --dry-run
"""
)
@click.argument("name", metavar="SNAPSHOT")
@click.option(
    "--source", "sources", multiple=True, metavar="S", help="Only this source of the snapshot (again for more)."
)
@click.option(
    "--to",
    multiple=True,
    metavar="URI|DIR",
    help="Another server or directory, same names; SOURCE=URI where several sources are restored (again for more)."
    " ${NAME} in it comes from the environment.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="A database, db.collection or a glob (again for more); SOURCE:NAME for that source alone.",
)
@click.option(
    "--rename", multiple=True, metavar="A=B", help="Restore A as B (again for more); SOURCE:A=B for that source alone."
)
@click.option(
    "--users/--no-users",
    default=None,
    help="Users and roles, which come back under their own names: with --to unless --no-users, else only with --users.",
)
@click.option(
    "--at",
    metavar="TIME",
    help="To this second, by the archived oplog: everything that happened before it (ISO 8601; local without a zone).",
)
@click.option("--before", metavar="OP", help="To just before this operation, as drtool pitr find prints it.")
@click.option("--timeline", metavar="ID", help="Which timeline of the archived oplog, if not what happened then.")
@click.option("--expect-head", metavar="HASH", help="Refuse unless the job's snapshots include this head.")
@click.option("--in-place", is_flag=True, help="Replace what is there, once it is saved in a safety snapshot.")
@click.option(
    "--yes-replace",
    multiple=True,
    metavar="S",
    help="The name of a source that --in-place may replace without asking (again for more).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be restored and what is there; write nothing.")
def command(
    context: Context,
    name: str,
    sources: tuple[str, ...],
    to: tuple[str, ...],
    only: tuple[str, ...],
    rename: tuple[str, ...],
    users: bool | None,
    at: str | None,
    before: str | None,
    timeline: str | None,
    expect_head: str | None,
    in_place: bool,
    yes_replace: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Bring a snapshot back, beside what is there.

    All of its sources, or those that --source names. Not over what is there: without --to or --rename the source's own
    server gets new databases (app_restored_…), and a target that is not empty is refused. Everything needed is present
    in the repository, and every target was looked at, before the first write.

    With --in-place it replaces what is there under the same names. The name of each source has to be typed, a safety
    snapshot of what is there is taken, read back and kept, and the command that undoes it all is printed, before the
    first write. What the snapshot does not hold stays.

    With --at or --before, SNAPSHOT says where to begin: latest is the newest one from which the archived oplog leads
    to that moment. Only the source with that oplog is restored then.
    """
    from drtool.operations.restore.allotting import Asked

    if yes_replace and not in_place:
        raise UsageError("--yes-replace goes with --in-place")
    places = tuple(expanded("--to", one) for one in to)
    asked = Asked(places, only, pairs("--rename", rename), users, in_place)
    aim = Aim(at, before, timeline, sources)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context, reads_data=True))
        found = known(context, opened)
        recovery = find_recovery(context, stack, opened, found, name, aim)
        chosen = found.choose(name) if recovery is None else _from(recovery)
        _require_fresh(context, opened, found, chosen.snapshot, expect_head)
        together = _prepare(context, stack, opened, chosen.snapshot, sources, asked, recovery)
        prospects = together.prospects()
        announce(context, opened, chosen, found, prospects, together.left_out)
        if recovery is not None:
            announce_recovery(context, recovery)
        elif chosen.distance is not None:
            for prospect in prospects:
                hint_at_closer(context, stack, opened, chosen, name, prospect.source)
        standings = announce_replacing(context, opened, together, prospects) if in_place else []
        if dry_run:
            show_refusal(context, prospects)
            return
        if in_place:
            prospects = [standing.prospect for standing in standings]
            stack.enter_context(replacing(context, opened, standings, asked, yes_replace))
        show_results(context, prospects, together.run(prospects), recovery)


def _from(recovery: Recovery) -> Chosen:
    from drtool.operations.choosing import Chosen

    return Chosen(recovery.base.snapshot)


def _require_fresh(
    context: Context, opened: Repository, found: Known, snapshot: Snapshot, expect_head: str | None
) -> None:
    """Is the repository in its newest state? ``RolledBackError`` where it lacks the head that the operator noted."""
    from drtool.operations.restore.restore import require_head

    if expect_head is not None:
        require_head(found.catalogue, snapshot, expect_head)
    elif not opened.state.is_acquainted():
        context.reporter().warn(
            "this host has known the repository for less than a day: that it is the newest state is unproven"
            " (compare --expect-head with the last report)"
        )


def _prepare(
    context: Context,
    stack: contextlib.ExitStack,
    opened: Repository,
    snapshot: Snapshot,
    sources: tuple[str, ...],
    asked: Asked,
    recovery: Recovery | None,
) -> Together:
    """The restore, registered so that nothing that it needs is removed meanwhile."""
    from drtool.operations.budget import Budget
    from drtool.operations.opening import source_like
    from drtool.operations.restore.together import Together
    from drtool.operations.runs import registered, require_still_there

    config, reporter = context.config(), context.reporter()
    origins = origins_of(snapshot.manifest, sources) if recovery is None else [recovery.base.source]
    stack.enter_context(registered(opened, "restore", snapshot.manifest.job, reporter))
    require_still_there(opened, snapshot)
    refresh_index(opened, reporter)
    budget = Budget.within(config.limits.memory, config.limits.readers)
    like = [source_like(stack, origin, config.sources) for origin in origins]
    references = [
        (relation.left.partition(".")[0], relation.right.partition(".")[0])
        for relation in config.relations
        if relation.form != "count"
    ]
    together = Together(opened, snapshot, like, asked, budget, reporter, references=references, recovery=recovery)
    stack.callback(together.close)
    return together

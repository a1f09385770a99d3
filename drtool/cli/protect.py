"""``drtool protect``."""

from __future__ import annotations

import click

from drtool.cli.choices import known, repository
from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool protect latest --reason "before the migration to 8.0"
drtool protect nightly@2026-08-01T00:00:00Z --reason audit --until 2027-01-01
"""
)
@click.argument("name", metavar="SNAPSHOT")
@click.option("--reason", required=True, metavar="R", help="Why, for whoever wonders later.")
@click.option("--until", metavar="TIME", help="Until then; without it, until it is released.")
def command(context: Context, name: str, reason: str, until: str | None) -> None:
    """Keep a snapshot from being removed by retention.

    It stays until somebody releases it, or until a time. The reason is kept with the repository, signed, and shown by
    drtool retention plan.
    """
    from drtool.operations.pitr.times import parse_moment
    from drtool.operations.retention.applying import telling
    from drtool.operations.retention.protecting import protect

    end = None if until is None else parse_moment(until)
    with repository(context) as opened:
        snapshot = known(context, opened).choose(name).snapshot
        pin = protect(opened, snapshot, reason, end, telling(context.reporter(), context.stopping.wait))
    context.output.result(snapshot=snapshot.id, pin=pin, reason=reason, until=end)
    lasting = "until it is released" if end is None else f"until {end.isoformat()}"
    context.output.ok(f"snapshot {snapshot.id} is protected {lasting}")
    context.output.text(f"release it with: drtool release {snapshot.id}")

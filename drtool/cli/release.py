"""``drtool release``."""

from __future__ import annotations

import click

from drtool.cli.choices import known, repository
from drtool.cli.command import Context, drtool_command
from drtool.errors import RefusedError


@drtool_command(
    example="""
drtool release 20260801t000012z-5f3a9c17e2
"""
)
@click.argument("name", metavar="SNAPSHOT")
def command(context: Context, name: str) -> None:
    """Let retention decide about a protected snapshot again.

    Whoever protected it may release it, and so may a maintainer (repository.maintenance, or the identity).
    """
    from drtool.operations.opening import maintained
    from drtool.operations.retention.protecting import release

    settings = context.config().repository
    with repository(context) as opened:
        found = known(context, opened)
        snapshot = found.choose(name).snapshot
        try:
            pins = release(opened, found, snapshot)
        except RefusedError:
            has_maintainer = settings.identity is not None or (settings.maintenance and settings.maintenance.agent_key)
            if not has_maintainer:
                raise
            with maintained(settings, cancelled=context.stopping) as entitled:
                pins = release(entitled, found, snapshot)
    context.output.result(snapshot=snapshot.id, released=[pin.id for pin in pins])
    context.output.ok(f"snapshot {snapshot.id} is not protected any more (it was: {pins[0].reason})")

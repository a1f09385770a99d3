"""``drtool copy``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.config.copies import CopySettings


@drtool_command(
    example="""
drtool copy --to s3://acme-second/prod --create
drtool copy --to s3://acme-second/prod
drtool copy --to /mnt/disk/copy latest --dry-run
"""
)
@click.argument("names", nargs=-1, metavar="[SNAPSHOT]...")
@click.option("--to", "url", metavar="URL", help="The second repository; not needed where repository.copies names one.")
@click.option("--create", is_flag=True, help="Make it first, of the same lineage. Needs the identity, this once.")
@click.option(
    "--sync-keys", is_flag=True, help="First bring its recipients, signers and keys in line. Needs the identity."
)
@click.option("--no-oplog", is_flag=True, help="Leave the archived oplog out: no moment between snapshots there.")
@click.option("--dry-run", is_flag=True, help="Say what is missing there; write nothing.")
def command(
    context: Context,
    names: tuple[str, ...],
    url: str | None,
    create: bool,
    sync_keys: bool,
    no_oplog: bool,
    dry_run: bool,
) -> None:
    """Send snapshots to a second repository, in another place.

    All that are missing there, without an argument, oldest first; of them only what is not stored there yet. What is
    named is looked up chunk by chunk, so that what the second repository lost is sent again. Within a lineage nothing
    is opened and no identity needed; into another lineage it is. What cannot be copied is named, the rest is copied,
    and the exit code is 3.
    """
    from drtool.cli.copy_lines import Lines
    from drtool.operations.budget import Budget
    from drtool.operations.copy.copying import Wish, copy
    from drtool.operations.copy.opening import opened_pair
    from drtool.operations.joblock import copy_lock

    config = context.config()
    settings = _copy_settings(context, url)
    if dry_run and (create or sync_keys):
        raise UsageError("--dry-run writes nothing, so it goes with neither --create nor --sync-keys")
    if create:
        _create(context, settings)
    if sync_keys:
        _sync_keys(context, settings)
    lines = Lines(context.output, context.reporter())
    budget = Budget.within(config.limits.memory, config.limits.readers)
    with contextlib.ExitStack() as stack:
        run = None if dry_run else stack.enter_context(context.attended("copy"))
        pair = stack.enter_context(opened_pair(config.repository, settings, cancelled=context.stopping))
        stack.enter_context(copy_lock(config.repository.state_dir / pair.destination.id))
        summary = copy(pair, Wish(names, not no_oplog, not dry_run), budget, context.reporter(), lines.tell)
        if run is not None:
            run.figures |= {"to": settings.url, "there": summary.there, **lines.figures}
        lines.finish(summary)


def _create(context: Context, settings: CopySettings) -> None:
    from drtool.operations.copy.siblings import create_copy

    made = create_copy(context.config().repository, settings, cancelled=context.stopping)
    context.output.result(created=made.repository)
    context.output.ok(f"repository {made.repository[:8]} of the same lineage is ready at {made.url}")
    if made.has_escrow:
        context.reporter().warn(
            "the identity in escrow is bound to the first repository: put it into this one, too (drtool key escrow,"
            " with a configuration that names the copy)"
        )


def _sync_keys(context: Context, settings: CopySettings) -> None:
    from drtool.operations.copy.siblings import sync_keys

    changed = sync_keys(context.config().repository, settings, cancelled=context.stopping)
    context.output.result(keys_changed=changed)
    context.output.ok("its keys are in line" if changed else "its keys were in line already")


def _copy_settings(context: Context, url: str | None) -> CopySettings:
    """What the configuration says of the copy at `url`, or nothing but that address."""
    from pydantic import ValidationError

    from drtool.config.copies import CopySettings
    from drtool.config.paths import DIRECTORY

    known = context.config().repository.copies
    if url is None:
        if len(known) == 1:
            return known[0]
        hint = f"There are: {', '.join(one.url for one in known)}" if known else "Name it: drtool copy --to URL"
        raise UsageError("where shall the copy go?", hint=hint)
    try:
        given = CopySettings.model_validate({"url": url}, context={DIRECTORY: Path.cwd()})
    except ValidationError as error:
        raise UsageError(f"--to: {error.errors(include_input=False)[0]['msg'].removeprefix('Value error, ')}") from None
    return next((one for one in known if one.url == given.url), given)

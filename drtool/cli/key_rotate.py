"""``drtool key rotate``."""

from __future__ import annotations

import click

from drtool.cli.authority import governed
from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool key rotate
drtool key rotate --remove-recipient Ada
"""
)
@click.option("--remove-recipient", "remove", multiple=True, metavar="NAME", help="Who is not to get the new key.")
def command(context: Context, remove: tuple[str, ...]) -> None:
    """Seal what is written from now on under a new catalog key.

    Needs the repository's own identity. Hosts need nothing: each finds the new key in the store, sealed to it, at its
    next run, and pitr capture --follow within ten minutes. What was written before stays readable to whoever could read
    it: rotation undoes nothing. The id key, by which chunks are known, never changes.
    """
    from drtool.operations.keys.rotating import rotate

    reporter = context.reporter()
    with governed(context) as (repository, authority):
        rotated = rotate(repository, authority, reporter, remove)
    output = context.output
    output.result(
        catalog_key=rotated.catalog_key.hex(),
        recipients=[entry.name for entry in rotated.recipients],
        removed=list(rotated.removed),
        renewed=list(rotated.renewed),
        stranded=list(rotated.stranded),
    )
    output.ok(f"what is written from now on is sealed under catalog key {rotated.catalog_key.hex()}")
    output.text("  read by     " + ", ".join(entry.name for entry in rotated.recipients))
    output.text("  agents      " + (", ".join(rotated.renewed) or "none"))
    if rotated.removed:
        output.text("  no more     " + ", ".join(rotated.removed) + " (what they could read they may have kept)")
    if rotated.stranded:
        names = ", ".join(rotated.stranded)
        reporter.warn(
            f"without a way to the new key: {names}; revoke them and add them anew with drtool key add --agent"
        )

"""``drtool key revoke``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drtool.cli.authority import governed
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.keys.revoking import Revoked


@drtool_command(
    example="""
drtool key revoke host2
drtool key revoke host2 --before 2026-11-03T08:00:00+01:00
drtool key revoke host2 --last-good 20261102t020000z-5f3a9c0d1e
drtool key revoke Ada
"""
)
@click.argument("name")
@click.option("--before", metavar="TIME", help="Keep only what the store had by then (its own clock counts).")
@click.option(
    "--last-good", multiple=True, metavar="SNAPSHOT", help="Of this snapshot's job keep it and those before it only."
)
def command(context: Context, name: str, before: str | None, last_good: tuple[str, ...]) -> None:
    """End what a key may do: an agent's signing, a recipient's reading.

    Needs the repository's own identity. NAME is a name, a fingerprint or a public key of drtool key list. Of a revoked
    agent counts what it signed until now, or until the moment given; nothing that it signs later counts, whatever date
    it gives it. To a revoked recipient nothing is sealed any more; what it could read it may have kept. It is for good.
    """
    from drtool.operations.keys.revoking import revoke
    from drtool.operations.pitr.times import parse_moment

    if before is not None and last_good:
        raise UsageError("--before and --last-good exclude each other")
    moment = None if before is None else parse_moment(before)
    with governed(context) as (repository, authority):
        revoked = revoke(repository, authority, name, context.reporter(), before=moment, last_good=last_good)
    _tell(context, revoked)


def _tell(context: Context, revoked: Revoked) -> None:
    output = context.output
    output.result(
        revoked=revoked.name,
        signer=None if revoked.signer is None else revoked.signer.public.hex(),
        recipient=None if revoked.recipient is None else revoked.recipient.recipient.fingerprint.hex(),
        kept=[{"chain": link.chain, "number": link.number, "object": link.name} for link in revoked.kept],
        refused=[link.name for link in revoked.refused],
    )
    output.ok(f"{revoked.name} is revoked")
    if revoked.signer is not None:
        output.text("Nothing that it signs from now on counts. What counts ends with:")
        for link in revoked.kept:
            output.text(f"  {link.name}   (number {link.number} of {link.chain})")
        if not revoked.kept:
            output.text("  nothing: it had signed nothing" + (" by then" if revoked.refused else ""))
        if revoked.refused:
            output.text(f"{counted(len(revoked.refused), 'object')} after that no longer count:")
            for link in revoked.refused:
                output.text(f"  {link.name}")
        output.text("Take away its credentials for the store: they are no key of drtool's.")
    if revoked.recipient is not None:
        output.text("Nothing is sealed to it any more. What it could read until now it may have kept.")
    output.text("It keeps the catalog keys that it had; drtool key rotate closes names and sizes from now on to it.")

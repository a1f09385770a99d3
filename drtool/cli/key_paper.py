"""``drtool key paper``."""

from __future__ import annotations

from pathlib import Path

import click

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool key paper | lpr
drtool key paper --identity paper.key
"""
)
@click.option(
    "--identity",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Print this identity; else the configuration's.",
)
def command(context: Context, path: Path | None) -> None:
    """Print an identity so that it can be kept on paper and typed in again.

    It prints a secret: to a printer that keeps nothing, or onto a screen to write down by hand. Each group has a
    character that tells whether it was typed in as it stands: drtool key check. A recipient of its own for the paper
    can be revoked by itself: drtool key generate.
    """
    from drtool.operations.keys.governing import read_by
    from drtool.operations.keys.paper import to_print

    # What is printed must open the repository: that it does not is found out today, not in an emergency.
    with read_by(context.config().repository, path, cancelled=context.stopping) as opened:
        assert opened.identity is not None
        text = to_print(opened.identity, opened.id, opened.storage.url)
        fingerprint = opened.identity.recipient.fingerprint.hex()
    context.output.line("paper", text=text)
    context.output.result(fingerprint=fingerprint)
    context.output.text(text)

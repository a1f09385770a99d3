"""``drtool key generate``."""

from __future__ import annotations

from pathlib import Path

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool key generate --out second.key --recipient-out second.recipient --root 5f1c…
drtool key generate --out paper.key
"""
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where to write the identity (a secret).")
@click.option("--recipient-out", type=click.Path(path_type=Path), help="Where to write its public half.")
@click.option("--root", metavar="HEX", help="The repository's root, as key list prints it; else the configuration's.")
def command(context: Context, out: Path, recipient_out: Path | None, root: str | None) -> None:
    """Make an identity for a further person, a safe, or a machine that restores.

    It is made where it will be kept; only its public half leaves that place. The owner of the repository adds that with
    drtool key add --recipient, and then this identity reads. With --root neither a configuration nor access to the
    store is needed.
    """
    from drtool.operations.keys.generating import generate, parse_root

    if root is not None:
        believed = parse_root(root)
    else:
        with repository(context) as opened:
            believed = opened.document.root
    made = generate(out, believed, recipient_out)
    recipient = made.public.recipient
    context.output.result(
        fingerprint=recipient.fingerprint.hex(), recipient=recipient.to_text(), identity=out, root=believed.hex()
    )
    context.output.ok(f"identity {recipient.fingerprint.hex()} is in {out}: keep it secret, and a copy elsewhere")
    if recipient_out is not None:
        context.output.text(f"Its public half is in {recipient_out}: give that to the repository's owner.")
    else:
        context.output.text("Its public half, for the repository's owner:\n")
        context.output.text(made.public.to_text())
    context.output.text("It reads nothing before the owner has run: drtool key add --recipient FILE")

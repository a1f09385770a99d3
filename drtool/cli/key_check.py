"""``drtool key check``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool key check typed.txt
drtool key check typed.txt --out identity.key
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write the identity there, as a file that drtool reads.")
def command(context: Context, file: Path, out: Path | None) -> None:
    """Check an identity that was typed in from paper, or an identity file.

    Names each group that is not as it was printed, and shows the fingerprint. Needs neither configuration nor store.
    FILE may be - for standard input. Exits with 12 where something is wrong.
    """
    from drtool.operations.keys.files import read_key, require_free, write_key
    from drtool.operations.keys.paper import read_typed

    if out is not None:
        require_free(out)
    typed = str(file) == "-"
    identity = read_typed(sys.stdin.read() if typed else read_key(file), "what was typed" if typed else str(file))
    fingerprint = identity.recipient.fingerprint.hex()
    if out is not None:
        write_key(out, identity.to_file("drtool identity, typed in from paper"))
    context.output.result(fingerprint=fingerprint, root=identity.root.hex(), identity=out)
    context.output.ok(f"identity {fingerprint} is as it was printed" + (f", and now in {out}" if out else ""))
    context.output.text(f"  root         {identity.root.hex()}")
    if identity.pinned_root is not None:
        context.output.text("Compare fingerprint and root with the paper's: no group tells whether that line is right.")
    else:
        context.output.text(
            "Compare the fingerprint with the paper's. If it has a line that begins with root, type that."
        )

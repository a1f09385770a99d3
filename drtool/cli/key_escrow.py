"""``drtool key escrow``."""

from __future__ import annotations

import click

from drtool.cli.authority import governed
from drtool.cli.command import Context, drtool_command
from drtool.cli.passphrases import passphrase, passphrase_options
from drtool.errors import UsageError


@drtool_command(
    example="""
drtool key escrow
drtool key escrow --passphrase-file /run/secrets/escrow
drtool key escrow --remove
"""
)
@click.option("--remove", is_flag=True, help="Delete the identity from the repository again.")
@passphrase_options
def command(context: Context, remove: bool, **given: str | None) -> None:
    """Put the identity into the repository under a passphrase.

    Then the passphrase and access to the store bring it back: drtool key recover. Whoever can read the store may try
    passphrases for as long as he likes, each at the price of 256 MiB of memory and about a second: use six or more
    random words, and write them down elsewhere. Once more replaces the passphrase; copies of the old escrow stay open
    to the old one.
    """
    from drtool.operations.keys.escrowing import put_escrow, remove_escrow, weakness

    output = context.output
    if remove:
        if any(value is not None for value in given.values()):
            raise UsageError("--remove needs no passphrase")
        with governed(context) as (repository, authority):
            name, is_gone = remove_escrow(repository, authority)
        output.result(escrow=name, removed=True, versions_left=not is_gone)
        output.ok(f"{name} is deleted" if is_gone else f"{name} is hidden")
        if not is_gone:
            context.reporter().warn("versions of it stay: they are locked, or these credentials may not delete them")
        output.text("Copies of the store may still hold it, open to whoever knows the passphrase.")
        return
    with governed(context) as (repository, authority):
        words = passphrase(given, confirm=True)
        if (doubt := weakness(words)) is not None:
            context.reporter().warn(doubt)
        put = put_escrow(repository, authority, words)
        fingerprint = authority.identity.recipient.fingerprint.hex()
    output.result(escrow=put.name, replaced=put.replaced, fingerprint=fingerprint)
    output.ok(f"identity {fingerprint} lies in {put.name}, read back with the passphrase")
    output.text(f"To get it back: drtool key recover --repository {repository.storage.url} --identity-out FILE")
    if put.replaced:
        output.text("The passphrase before opens copies of the escrow before, nothing else.")

"""``drtool key list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command

if TYPE_CHECKING:
    from drtool.operations.keys.listing import Keys


@drtool_command(
    example="""
drtool key list
drtool key list --json
"""
)
def command(context: Context) -> None:
    """List who may read, who may write, the catalog keys, and what lies in escrow.

    Any key that opens the repository may ask. Names, public keys and dates are no secret: repository.json holds them.
    """
    from drtool.operations.keys.listing import list_keys

    with repository(context) as opened:
        keys = list_keys(opened)
        context.output.result(repository=opened.id, root=keys.root.hex(), sequence=keys.sequence)
        _lines(context, keys)
        _text(context, opened.id, keys)


def _lines(context: Context, keys: Keys) -> None:
    output = context.output
    for listed in keys.recipients:
        entry = listed.entry
        output.line(
            "recipient",
            name=entry.name,
            fingerprint=entry.recipient.fingerprint.hex(),
            added=entry.added,
            escrow=listed.escrow,
        )
    for found in keys.signers:
        signer = found.signer
        output.line(
            "signer",
            name=signer.name,
            key=signer.public.hex(),
            roles=sorted(signer.roles),
            added=signer.added,
            revoked=found.revoked,
            renewable=signer.ring_to is not None,
        )
    for number, key_id in enumerate(keys.catalog_keys):
        output.line("catalog-key", id=key_id, current=number == 0)


def _text(context: Context, repository_id: str, keys: Keys) -> None:
    output = context.output
    output.text(f"repository {repository_id}, root {keys.root.hex()}, version {keys.sequence} of its keys\n")
    output.table(
        ("may read", "fingerprint", "added", "in escrow"),
        [
            (x.entry.name, x.entry.recipient.fingerprint.hex(), x.entry.added, "yes" if x.escrow else "no")
            for x in keys.recipients
        ],
    )
    output.text()
    output.table(
        ("may sign", "as", "key", "added", "revoked"),
        [
            (x.signer.name, ", ".join(sorted(x.signer.roles)), x.signer.public.hex(), x.signer.added, x.revoked or "")
            for x in keys.signers
        ],
    )
    older = len(keys.catalog_keys) - 1
    output.text(f"\ncatalog key {keys.catalog_keys[0]}" + (f", and {older} older" if older else ""))

"""``drtool key recover``."""

from __future__ import annotations

from pathlib import Path

import click

from drtool.cli.addresses import repository_settings
from drtool.cli.command import Context, drtool_command
from drtool.cli.passphrases import passphrase, passphrase_options
from drtool.errors import UsageError


@drtool_command(
    example="""
drtool key recover --repository s3://acme-backups/prod --identity-out identity.key
drtool key recover --dry-run --passphrase-file /run/secrets/escrow
"""
)
@click.option("--repository", "url", metavar="URL", help="s3://BUCKET/PREFIX or a directory; else the configuration's.")
@click.option("--region", help="The bucket's region.")
@click.option("--endpoint-url", metavar="URL", help="The address of an S3-compatible store.")
@click.option("--profile", help="A profile of ~/.aws/config with the credentials.")
@click.option("--fingerprint", metavar="HEX", help="Whose identity, where several lie there; its beginning will do.")
@click.option("--identity-out", type=click.Path(path_type=Path), metavar="PATH", help="Where to write identity.key.")
@click.option("--dry-run", is_flag=True, help="Find out whether the passphrase opens it; write nothing.")
@passphrase_options
def command(
    context: Context,
    url: str | None,
    region: str | None,
    endpoint_url: str | None,
    profile: str | None,
    fingerprint: str | None,
    identity_out: Path | None,
    dry_run: bool,
    **given: str | None,
) -> None:
    """Get the identity back from the repository with its passphrase, on any machine.

    Needs access to the store and the passphrase, no key and no configuration. Shows fingerprint and root, to be
    compared with what was noted elsewhere. Exits with 12 for a wrong passphrase.
    """
    from drtool.operations.keys.escrowing import find_escrow, recover
    from drtool.operations.keys.files import require_free
    from drtool.operations.opening import storage_of

    if dry_run == (identity_out is not None):
        raise UsageError("say where to: --identity-out PATH, or only try with --dry-run")
    if identity_out is not None:
        require_free(identity_out)
    given_address = {"url": url, "region": region, "endpoint_url": endpoint_url, "profile": profile}
    settings = context.config().repository if url is None else repository_settings(given_address)
    with storage_of(settings, cancelled=context.stopping) as storage:
        escrow = find_escrow(storage, fingerprint)
        recovered = recover(storage, escrow, passphrase(given, confirm=False))
    identity, repository = recovered.identity, recovered.repository.hex()
    if identity_out is not None:
        recovered.write(identity_out)
    output = context.output
    output.result(
        repository=repository,
        fingerprint=identity.recipient.fingerprint.hex(),
        root=identity.root.hex(),
        identity=identity_out,
    )
    output.ok("the passphrase opens it" if identity_out is None else f"the identity is in {identity_out}")
    signed = ", whose keys this root signed" if recovered.problem is None else ""
    output.text(f"  repository   {repository} at {recovered.url}{signed}")
    output.text(f"  fingerprint  {identity.recipient.fingerprint.hex()}")
    output.text(f"  root         {identity.root.hex()}")
    if recovered.problem is not None:
        context.reporter().warn(
            f"the identity is whole, but that repository does not open with it: {recovered.problem.message};"
            " a copy elsewhere may"
        )
    output.text("Compare them with what was noted. Next: name the file as repository.identity, then drtool snapshots")

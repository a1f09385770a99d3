"""``drtool init``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.addresses import repository_settings
from drtool.cli.command import Context, drtool_command
from drtool.errors import ConfigError, RefusedError, UsageError

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings


@drtool_command(
    example="""
drtool init --repository s3://acme-backups/prod --identity-out /media/usb/identity.key
drtool init --repository /srv/backups --identity-out ./identity.key
drtool backup
""",
)
@click.option("--repository", "url", metavar="URL", help="s3://BUCKET/PREFIX or a directory; else the configuration's.")
@click.option("--identity-out", type=click.Path(path_type=Path), metavar="PATH", help="Where to write identity.key.")
@click.option("--region", help="The bucket's region.")
@click.option("--endpoint-url", metavar="URL", help="The address of an S3-compatible store.")
@click.option("--profile", help="A profile of ~/.aws/config with the credentials.")
def command(
    context: Context,
    url: str | None,
    identity_out: Path | None,
    region: str | None,
    endpoint_url: str | None,
    profile: str | None,
) -> None:
    """Make a repository and its keys.

    Writes agent.key, which this host keeps and which cannot read a backup, and identity.key, which reads
    everything and should leave this host. Writes a commented drtool.yaml where there is none.
    """
    from drtool.operations.init import init
    from drtool.operations.object_lock import rule_of
    from drtool.operations.opening import storage_of
    from drtool.operations.unattended.auditing.place import Place

    settings, config_path, fresh = _settings(context, url, region, endpoint_url, profile)
    agent_key = _agent_key_path(settings, config_path.parent)
    identity = _identity_path(identity_out)
    _require_parent(settings.url)
    # First, because it is what can be taken back.
    with contextlib.ExitStack() as stack:
        if fresh:
            stack.enter_context(_written_config(config_path, settings))
        storage = stack.enter_context(storage_of(settings, cancelled=context.stopping))
        made = init(storage, agent_key=agent_key, identity=identity, rule=rule_of(settings))
    context.place = Place(settings, config_path)
    output = context.output
    output.result(
        repository=made.repository,
        url=made.url,
        fingerprint=made.fingerprint,
        agent_key=made.agent_key,
        identity=made.identity,
        config=config_path,
    )
    output.ok(f"repository {made.repository[:8]} is ready at {made.url}")
    output.text(f"  agent key      {made.agent_key}   stays on this host; cannot read a backup")
    output.text(f"  identity       {made.identity}   reads every backup: move it off this host, keep a copy")
    output.text(f"  configuration  {config_path}" + ("   written: set MONGODB_URI, or edit it" if fresh else ""))
    output.text("Next: drtool backup")


def _require_parent(url: str) -> None:
    """The directory above a repository that lives in one must be there, lest a disk is not mounted."""
    if "://" not in url and not Path(url).parent.is_dir():
        raise UsageError(f"{Path(url).parent} is not a directory", hint="Make it first, or check the path.")


def _settings(
    context: Context, url: str | None, region: str | None, endpoint_url: str | None, profile: str | None
) -> tuple[RepositorySettings, Path, bool]:
    """The repository's settings, the configuration's path, and whether it is still to be written."""
    from drtool.config.places import FILE_NAME, VARIABLE, find_config

    named = context.options.config
    fields = {"url": url, "region": region, "endpoint_url": endpoint_url, "profile": profile}
    given = None if url is None else repository_settings(fields)
    try:
        path = find_config(named)
    except ConfigError:
        if given is None:
            raise UsageError(
                "where shall the repository be?", hint="Name it: drtool init --repository s3://BUCKET/PREFIX"
            ) from None
        path = named or Path(os.environ.get(VARIABLE) or FILE_NAME)
        return given, path.absolute(), True
    settings = context.config().repository
    if given is not None and given.url != settings.url:
        raise RefusedError(
            f"{path} names another repository: {settings.url}",
            hint="Change it there, or name another configuration with --config.",
        )
    return settings, path.absolute(), False


def _agent_key_path(settings: RepositorySettings, directory: Path) -> Path:
    """Where agent.key goes: beside the configuration, unless that says otherwise."""
    if settings.agent_key is None:
        return directory / "agent.key"
    if settings.agent_key.path is None:
        raise ConfigError(
            "repository.agent_key does not name a file, so init cannot write it", hint="Use {file: PATH}."
        )
    return settings.agent_key.path


def _identity_path(given: Path | None) -> Path:
    if given is not None:
        return given.absolute()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "where shall identity.key be written?",
            hint="Name it: --identity-out PATH. Best on a medium that does not stay on this host.",
        )
    click.echo("identity.key reads every backup; without it nobody can. It should not stay on this host.", err=True)
    answer: str = click.prompt("Write identity.key to", default="identity.key", err=True)
    return Path(answer).expanduser().absolute()


@contextlib.contextmanager
def _written_config(path: Path, settings: RepositorySettings) -> Iterator[None]:
    """A configuration for the repository; it goes again when that cannot be made."""
    from drtool.config.template import render_template

    text = render_template(
        settings.url,
        "agent.key",
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        profile=settings.profile,
    )
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot write the configuration {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise

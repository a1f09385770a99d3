"""``drtool key add``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.authority import governed
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted
from drtool.errors import PartialError, UsageError

if TYPE_CHECKING:
    from drtool.operations.keys.recipients import Added


@drtool_command(
    example="""
drtool key add --recipient second.recipient --name "Ada"
drtool key add --agent host2 --out host2.key
drtool key add --agent maintenance --role maintainer --out maintenance.key
"""
)
@click.option("--recipient", type=click.Path(path_type=Path), metavar="FILE", help="Who may read: a recipient file.")
@click.option("--name", help="What to call the recipient.")
@click.option("--verifier", is_flag=True, help="The recipient may also attest verifications (readable, restored).")
@click.option("--old-packs/--no-old-packs", default=True, help="Open what is stored already to the recipient.")
@click.option("--agent", metavar="NAME", help="Who may write: the name of a further host.")
@click.option(
    "--role",
    type=click.Choice(["writer", "maintainer"]),
    default="writer",
    show_default=True,
    help="What the agent may do: take backups, or retention and prune.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the agent's key.")
def command(
    context: Context,
    recipient: Path | None,
    name: str | None,
    verifier: bool,
    old_packs: bool,
    agent: str | None,
    role: str,
    out: Path | None,
) -> None:
    """Let somebody else read, or a further host write.

    Needs the repository's own identity. A recipient reads what is written from now on and, as its packs are opened to
    it one after the other, what is there; the same command goes on where it was interrupted. An agent gets a key of its
    own, which cannot read data and can be revoked alone.
    """
    if (recipient is None) == (agent is None):
        raise UsageError("say whom to add: --recipient FILE or --agent NAME")
    if recipient is not None:
        if out is not None:
            raise UsageError("--out belongs to --agent: a recipient has a key already")
        _add_recipient(context, recipient, name, verifier=verifier, old_packs=old_packs)
        return
    if out is None:
        raise UsageError("where shall the agent's key be written?", hint="Name a file: --out FILE")
    if name is not None or verifier:
        raise UsageError("--name and --verifier belong to --recipient")
    assert agent is not None
    _add_agent(context, agent, role, out)


def _add_recipient(context: Context, path: Path, name: str | None, *, verifier: bool, old_packs: bool) -> None:
    from drtool.operations.keys.files import read_key
    from drtool.operations.keys.recipients import add_recipient
    from drtool.repository.public_file import PublicHalf

    public = PublicHalf.from_text(read_key(path), str(path))
    with governed(context) as (repository, authority):
        added = add_recipient(
            repository, authority, public, context.reporter(), name=name, verifier=verifier, old_packs=old_packs
        )
    _tell(context, added, old_packs=old_packs)
    if added.problems:
        raise PartialError(
            f"{counted(len(added.problems), 'pack')} could not be opened to {added.name};"
            f" first: {added.problems[0].message}",
            hint="What is damaged is named by: drtool verify --level intact",
        )


def _tell(context: Context, added: Added, *, old_packs: bool) -> None:
    output = context.output
    output.result(
        recipient=added.name,
        fingerprint=added.recipient.fingerprint.hex(),
        packs_opened=added.opened,
        problems=[{"object": each.object, "message": each.message} for each in added.problems],
        still_writing=list(added.still_writing),
    )
    was = "is a recipient already" if added.was_there else "reads what is written from now on"
    output.ok(f"{added.name} ({added.recipient.fingerprint.hex()}) {was}")
    if not old_packs:
        output.text("What is stored already stays closed to it; the same command without --no-old-packs opens it.")
        return
    output.text(f"{counted(added.opened, 'pack')} opened to it.")
    if added.still_writing:
        runs = ", ".join(added.still_writing)
        context.reporter().warn(f"still writing for those who read before: run {runs}; afterwards, run this once more")


def _add_agent(context: Context, name: str, role: str, out: Path) -> None:
    from drtool.operations.keys.agents import add_agent
    from drtool.repository.trust import Role

    with governed(context) as (_, authority):
        enrolled = add_agent(authority, name, Role(role), out)
    context.output.result(agent=name, role=role, key=enrolled.signer.public.hex(), agent_key=enrolled.path)
    context.output.ok(f"{name} may sign as {role}; its key is in {enrolled.path}")
    where = "repository.agent_key" if role == "writer" else "repository.maintenance.agent_key"
    context.output.text(f"Move it to that host (mode 0600), name it there as {where}, and leave no copy here.")

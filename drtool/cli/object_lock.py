"""``drtool object-lock``."""

from __future__ import annotations

import click

from drtool.cli.authority import governed
from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool object-lock
drtool object-lock --apply
"""
)
@click.option("--apply", "applies", is_flag=True, help="Let the configuration's object_lock rule from now on.")
def command(context: Context, applies: bool) -> None:
    """Show or change for how long the store keeps what is put.

    Every writer follows what the root signed in repository.json, whatever its own configuration says. init took it from
    the configuration (repository.object_lock); --apply does so again, and needs the repository's own identity. What is
    locked stays locked as long as it was; a longer time reaches old objects when prune or the next backup extends their
    locks.
    """
    from drtool.operations.object_lock import change_rule, rule_of
    from drtool.repository.locks import LockRule

    wanted, output = rule_of(context.config().repository), context.output
    if applies:
        with governed(context) as (opened, authority):
            changed = change_rule(opened, authority, wanted)
            rule = LockRule.of(authority.document.object_lock)
    else:
        changed = False
        with repository(context) as opened:
            rule = LockRule.of(opened.document.object_lock)
    output.result(
        object_lock=None if rule is None else rule.to_json(),
        configured=None if wanted is None else wanted.to_json(),
        changed=changed,
    )
    output.ok(f"what is put from now on is locked for {rule}" if rule else "nothing is locked")
    if changed:
        output.text("Hosts' policies name the days: if they have one, print it anew (drtool doctor --policy agent).")
    if rule != wanted:
        output.text(f"The configuration says {wanted or 'no lock'}; drtool object-lock --apply lets it rule.")

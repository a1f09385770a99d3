"""What drtool schedule install and remove share: showing what changes, and asking whether it may."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context
from drtool.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from drtool.scheduling.installing.edits import Edit


def show(context: Context, edits: Sequence[Edit]) -> bool:
    """The difference that each makes; true where there is one."""
    changing = [edit for edit in edits if edit.changes]
    for edit in changing:
        difference = edit.difference()
        context.output.line("change", name=edit.name, difference=difference)
        context.output.text(difference.removesuffix("\n"))
    context.output.result(changed=[edit.name for edit in changing])
    return bool(changing)


def confirm(yes: bool) -> None:
    """``RefusedError`` where somebody says no, ``UsageError`` where nobody can be asked."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "this wants to be confirmed, and there is no terminal to ask", hint="Add --yes if it is meant."
        )
    if not click.confirm("Do it?", default=False, err=True):
        raise RefusedError("it was not confirmed: nothing was changed")

"""Asking for a passphrase: on a terminal, or from a file, a command or the environment; never as an argument."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

import click

from drtool.errors import UsageError

OPTIONS = ("passphrase_file", "passphrase_command", "passphrase_env")


def passphrase_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that needs a passphrase; `passphrase` takes what they gave."""
    for name, metavar, text in (
        ("env", "NAME", "Take the passphrase from this environment variable."),
        ("command", "COMMAND", "Take the passphrase from what this command prints."),
        ("file", "FILE", "Take the passphrase from this file (its first newline at the end is left out)."),
    ):
        function = click.option(f"--passphrase-{name}", metavar=metavar, help=text)(function)
    return function


def passphrase(given: dict[str, str | None], *, confirm: bool) -> str:
    """The passphrase: from what was `given`, else asked for on the terminal (twice, to `confirm` a new one).

    ``UsageError`` where several were given, or none and there is no terminal.
    """
    from drtool.config.masking import MASKER
    from drtool.config.secrets import Origin, Secret

    chosen = {name.removeprefix("passphrase_"): value for name, value in given.items() if value is not None}
    if len(chosen) > 1:
        raise UsageError("one place for the passphrase is enough: " + ", ".join(f"--passphrase-{n}" for n in chosen))
    for kind, value in chosen.items():
        option = f"--passphrase-{kind}"
        if kind != "command":
            return Secret(Origin(kind), value, option).reveal()
        return Secret(Origin.COMMAND, _words(option, value), option).reveal()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "a passphrase is needed, and there is no terminal to ask for it",
            hint="Use --passphrase-file, --passphrase-command or --passphrase-env.",
        )
    answer: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    MASKER.add(answer)
    return answer


def _words(option: str, command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        words = ()
    if not words:
        raise UsageError(f"{option}: its quotation marks do not match, or it is empty")
    return words

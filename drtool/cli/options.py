"""The options that every command takes, before its name or after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(slots=True)
class GlobalOptions:
    """What the global options say so far; complete once the innermost command has been parsed.

    ``json`` is known from the start (`asks_for_json`). ``verbosity`` is positive for -v, negative for -q.
    ``command`` is the command's full name (``config check``).
    """

    config: Path | None = None
    json: bool = False
    verbosity: int = 0
    command: str = ""


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Is ``--json`` anywhere in a command line? Looked for before it is parsed, since errors in it must be JSON too."""
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


class GlobalOption(click.Option):
    """An option of every command: stored in `GlobalOptions`, and listed apart from the command's own."""


def global_options() -> list[click.Parameter]:
    """Fresh instances, for one command."""
    return [
        GlobalOption(
            ["--config"],
            # Whether it can be read is told by who reads it: schedule run has somebody to tell.
            type=click.Path(path_type=Path, readable=False),
            metavar="FILE",
            help="The configuration, if not in one of the usual places.",
            expose_value=False,
            callback=_config,
        ),
        GlobalOption(["--json"], is_flag=True, help="Print JSON lines, for programs.", expose_value=False),
        GlobalOption(["-v", "--verbose"], count=True, help="Say more.", expose_value=False, callback=_verbose),
        GlobalOption(
            ["-q", "--quiet"],
            count=True,
            help="Say nothing but results and warnings.",
            expose_value=False,
            callback=_quiet,
        ),
    ]


def _config(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        options_of(ctx).config = value


def _verbose(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    options_of(ctx).verbosity += value


def _quiet(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    options_of(ctx).verbosity -= value


def options_of(ctx: click.Context) -> GlobalOptions:
    """The options of the run that `ctx` belongs to; its outermost object is a ``drtool.cli.context.Context``."""
    run: Any = ctx.find_root().obj
    assert isinstance(run.options, GlobalOptions)
    return run.options

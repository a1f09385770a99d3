"""What the commands about archived logs need alike: which sources, and their logs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from drtool.cli.context import Context
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.budget import Budget
    from drtool.sources.log import Log


class Duration(click.ParamType[float]):
    """``10s``, ``5m``: seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from drtool.config.model import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def log_sources(context: Context, names: Sequence[str]) -> list[str]:
    """The sources named, else all that have a log; ``UsageError`` where there is none."""
    config = context.config()
    unknown = [name for name in names if name not in config.sources]
    if unknown:
        raise UsageError(f"there is no source {unknown[0]!r}", hint=f"Sources: {', '.join(sorted(config.sources))}")
    chosen = list(dict.fromkeys(names)) or sorted(config.sources)
    having = [name for name in chosen if _has_log(context, name)]
    without = [name for name in chosen if name not in having]
    if names and without:
        raise UsageError(f"a source of type {config.sources[without[0]].type} has no log: {without[0]}")
    if not having:
        raise UsageError("no source of the configuration has a log that could be archived")
    return having


def log_of(context: Context, stack: contextlib.ExitStack, name: str) -> Log:
    """The log of a source that has one; the source is closed with `stack`."""
    from drtool.operations.opening import open_source

    source = open_source(name, context.config().sources[name])
    stack.callback(source.close)
    log = source.log()
    if log is None:
        raise UsageError(f"a source of type {source.type} has no log: {name}")
    return log


def budget_of(context: Context) -> Budget:
    """What the configuration allows."""
    from drtool.operations.budget import Budget

    limits = context.config().limits
    return Budget.within(limits.memory, limits.readers)


def _has_log(context: Context, name: str) -> bool:
    from drtool.operations.opening import open_source

    with contextlib.closing(open_source(name, context.config().sources[name])) as source:
        return source.log() is not None

"""The classes of all commands: global options everywhere, an example in each help, modules imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from drtool.cli import table
from drtool.cli.auditing import audited
from drtool.cli.context import Context, pass_context
from drtool.cli.options import GlobalOption, global_options, options_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Where a click context keeps what a command was called with.
_ARGUMENTS = "drtool.arguments"
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command with the global options, whose help ends with ``example``, printed as it stands."""

    def __init__(self, name: str | None, *, example: str = "", **settings: Any) -> None:
        settings["params"] = [*(settings.get("params") or []), *global_options()]
        super().__init__(name, context_settings=SETTINGS, **settings)
        self.example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note which command this is, also for the report on an error in its arguments."""
        _note_command(ctx)
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, and tell it in the audit log where it is one that belongs there."""
        with audited(ctx, ctx.find_root().obj, ctx.meta[_ARGUMENTS]):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the global ones."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The example."""
        _write_verbatim(formatter, "Example", self.example)


class Group(click.Group):
    """Commands of `table.ENTRIES` whose names begin with ``prefix``."""

    def __init__(self, name: str, *, prefix: str = "", example: str = "", **settings: Any) -> None:
        settings["params"] = [*(settings.get("params") or []), *global_options()]
        super().__init__(name, context_settings=SETTINGS, **settings)
        self.prefix = prefix
        self.example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note which group this is, for the report on an error in its arguments."""
        _note_command(ctx)
        return super().parse_args(ctx, args)

    def helps(self) -> dict[str, str]:
        """The names of the commands here with their short help, in the table's order; imports none of them."""
        found: dict[str, str] = {}
        for entry in table.ENTRIES:
            if entry.name.startswith(self.prefix):
                name, _, deeper = entry.name.removeprefix(self.prefix).partition(" ")
                found.setdefault(name, table.GROUPS[self.prefix + name] if deeper else entry.help)
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return [*self.helps(), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or make a group; None where there is none of this name."""
        full = self.prefix + cmd_name
        for entry in table.ENTRIES:
            if entry.name == full:
                command = importlib.import_module(entry.module).command
                assert isinstance(command, click.Command)
                return command
        if full in table.GROUPS:
            return Group(cmd_name, prefix=full + " ", help=table.GROUPS[full] + ".")
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is an error with the nearest spelling."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(f"no command '{args[0]}'{self._suggestion(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def _suggestion(self, word: str) -> str:
        import difflib

        close = difflib.get_close_matches(word, self.helps(), n=1)
        return f"; did you mean '{close[0]}'?" if close else ""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The commands with their short help, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.helps().items()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, the group's own options, and the global ones."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The example, and the epilog as it stands."""
        _write_verbatim(formatter, "Example", self.example)
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(self.epilog.strip("\n") + "\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and short help from the table, then options."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, text in self.helps().items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def drtool_command(*, example: str, **settings: Any) -> Callable[[Callable[..., None]], Command]:
    """Make a function that takes a `Context` first into a command; its docstring is the help.

    ``example`` is one or more command lines, shown as they stand.
    """

    def make(function: Callable[..., None]) -> Command:
        return click.command(cls=Command, example=example, **settings)(pass_context(function))

    return make


def _note_command(ctx: click.Context) -> None:
    options_of(ctx).command = ctx.command_path.partition(" ")[2]


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    for title, wanted in (("Options", False), ("Global options, before or after the command", True)):
        records = list(_records(command, ctx, wanted))
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _records(command: click.Command, ctx: click.Context, wanted: bool) -> Iterator[tuple[str, str]]:
    for param in command.get_params(ctx):
        is_global = isinstance(param, GlobalOption) or "--help" in param.opts
        record = param.get_help_record(ctx) if is_global is wanted and isinstance(param, click.Option) else None
        if record is not None:
            yield record


def _write_verbatim(formatter: click.HelpFormatter, title: str, text: str) -> None:
    lines = text.strip("\n").splitlines()
    if lines:
        with formatter.section(title):
            formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in lines))


__all__ = ["Command", "Context", "Group", "drtool_command"]

"""``drtool``: parses the command line, runs one command, and ends with the exit code of what happened."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
from click.exceptions import Exit

from drtool import __version__
from drtool.cli.command import Group
from drtool.cli.context import Context
from drtool.cli.failures import Failure, explain
from drtool.cli.options import GlobalOptions, asks_for_json
from drtool.cli.output import Output, OutputClosedError
from drtool.cli.signals import stopping_in_order
from drtool.config.masking import MASKER
from drtool.errors import ExitCode
from drtool.local.allocator import use_one_arena

PROGRAM = "drtool"
_COMPLETE = "_DRTOOL_COMPLETE"
#: New objects between two searches for cycles. Small records make many, and no cycles: by default, at every 700, the
#: searches take a third of the time of reading them. What is imported makes some 70,000, which stay.
_COLLECT_EVERY = 100_000
_EPILOG = """
Shell completion, each a line to put into the file named:
  ~/.bashrc                                eval "$(_DRTOOL_COMPLETE=bash_source drtool)"
  ~/.zshrc                                 eval "$(_DRTOOL_COMPLETE=zsh_source drtool)"
  ~/.config/fish/completions/drtool.fish   _DRTOOL_COMPLETE=fish_source drtool | source

Exit codes:
  0 ok · 1 failed · 2 usage or configuration · 3 partial · 4 verification failed
  10 no such snapshot · 11 locked · 12 wrong key · 20 refused by a guard
  75 skipped · 130 interrupted
"""


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        run = ctx.find_root().obj
        run.output.text(f"{PROGRAM} {__version__}")
        run.output.result(version=__version__)
        ctx.exit()


cli = Group(
    PROGRAM,
    help="Back up MongoDB, vector stores and their companions; restore them; prove that it works.",
    example="drtool config check\ndrtool --config /etc/drtool/drtool.yaml config check --json",
    epilog=_EPILOG,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        )
    ],
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process."""
    use_one_arena()
    gc.set_threshold(_COLLECT_EVERY)
    # numpy, which only moves bytes here, would start a thread for each core at its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a run.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = run(sys.argv[1:] if arguments is None else arguments)
    # The process ends: nobody gains by the interpreter's last search for cycles through every module.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code. Everything that can go wrong is reported here, once."""
    options = GlobalOptions(json=asks_for_json(arguments))
    MASKER.start_over()
    context = Context(options, Output(options), arguments)
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {"obj": context}, PROGRAM, _COMPLETE, instruction)
    try:
        with stopping_in_order(context.stopping.set):
            code = _invoke(arguments, context)
            context.output.finish(code)
        context.end_log(code)
        return code
    except OutputClosedError:
        context.end_log(ExitCode.FAILED)
        return _reader_has_gone()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that reports errors
        failure = explain(error, options.command).masked()
    context.end_log(failure.exit_code, failure)
    if context.output.broken:
        _discard_output()
    try:
        return _report(failure, context)
    except OutputClosedError:
        _reader_has_gone()
        return failure.exit_code


def _invoke(arguments: Sequence[str], context: Context) -> ExitCode:
    # Not `click.Group.main`, which prints some errors itself and takes any broken pipe for a closed output.
    try:
        with cli.make_context(PROGRAM, list(arguments), obj=context) as ctx:
            cli.invoke(ctx)
    except Exit as end:
        # Another code than 0 is a result and no error: status --nagios ends so.
        return ExitCode(end.exit_code)
    finally:
        context.close()
    return ExitCode.OK


def _report(failure: Failure, context: Context) -> int:
    failure.print(verbose=context.options.verbosity > 0)
    context.output.finish(failure.exit_code, failure.as_json())
    return failure.exit_code


def _reader_has_gone() -> int:
    _discard_output()
    return ExitCode.FAILED


def _discard_output() -> None:
    # What is still buffered would raise once more when the interpreter flushes it at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

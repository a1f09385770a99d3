"""``drtool restore --in-place``: what is replaced, whether that is meant, and how it is undone."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context
from drtool.errors import ConfigError, RefusedError, UsageError

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.operations.restore.allotting import Asked
    from drtool.operations.restore.prospects import Prospect
    from drtool.operations.restore.replacing import Safety, Standing, Undo
    from drtool.operations.restore.together import Together
    from drtool.repository.repository import Repository

_SHOWN = 20


def announce_replacing(
    context: Context, opened: Repository, together: Together, prospects: Sequence[Prospect]
) -> list[Standing]:
    """What stays although the snapshot does not hold it, and what an undo would leave; and what has to be saved."""
    from drtool.operations.restore.replacing import compare_with

    output = context.output
    standings = [
        compare_with(opened, prospect, source) for source, prospect in zip(together.sources, prospects, strict=True)
    ]
    for standing in standings:
        for stream in standing.stays[:_SHOWN]:
            output.text(f"  stays: {stream.name} of {standing.source.name}, which the snapshot does not hold")
        if len(standing.stays) > _SHOWN:
            output.text(f"  … and {len(standing.stays) - _SHOWN} more")
    output.result(
        in_place=True,
        stays=[{"source": one.source.name, "stream": stream.name} for one in standings for stream in one.stays],
        returns=[{"source": one.source.name, "stream": name} for one in standings for name in one.returns],
    )
    bare, full = ([one.source.name for one in standings if one.is_bare is bare] for bare in (True, False))
    if full:
        output.text(f"  IN PLACE: what {', '.join(full)} has under these names is dropped, once it is saved")
    if bare:
        output.text(f"  in place: {', '.join(bare)} has nothing under these names, so that nothing has to be saved")
    return standings


@contextlib.contextmanager
def replacing(
    context: Context, opened: Repository, standings: Sequence[Standing], asked: Asked, yes: Sequence[str]
) -> Iterator[None]:
    """The block that writes: once it was confirmed, and what is there is safe. How to undo it is told before and
    after."""
    from drtool.operations.budget import Budget
    from drtool.operations.restore.prospects import require_free
    from drtool.operations.restore.replacing import Replacing

    config = context.config()
    snapshot = standings[0].prospect.snapshot
    _refuse_namesake(config, snapshot.manifest.job)
    for standing in standings:
        require_free(standing.prospect)
    names = [standing.source.name for standing in standings]
    _confirm(names, yes)
    budget = Budget.within(config.limits.memory, config.limits.readers)
    directory = config.repository.state_dir / opened.id
    jobs = [job for job, settings in config.jobs.items() if not set(names).isdisjoint(settings.sources)]
    waiting = context.stopping.wait
    one = Replacing(opened, snapshot, directory, jobs, asked.only, budget, context.reporter(), waiting)
    with one.alone():
        try:
            safety = one.save(standings)
            one.begin(safety, standings)
        except BaseException:
            context.reporter().warn("nothing was replaced: what is there could not be saved")
            raise
        commands = [_undo(context, undo, asked) for undo in safety.undoes]
        _tell_safety(context, safety, commands, [_undo(context, undo, asked) for undo in safety.attempt])
        try:
            yield
        except BaseException:
            undo = f", or undo it with: {'; '.join(commands)}" if commands else ""
            context.reporter().warn(
                f"what was replaced is neither as it was nor as the snapshot has it: run the same command again{undo}"
            )
            raise
        one.end(standings)
    _tell(context, commands)
    if safety.snapshot is not None:
        context.output.text(
            f"both snapshots are kept until they are released: drtool release {safety.snapshot.id};"
            f" drtool release {snapshot.id}"
        )


def _refuse_namesake(config: Config, job: str) -> None:
    """A configured job of that name would take safety snapshots for its own."""
    from drtool.operations.safekeeping import safety_job

    name = safety_job(job)
    if name in config.jobs:
        raise ConfigError(
            f"safety snapshots of job {job} are kept as those of {name}, and jobs.{name} is configured",
            hint="Give that job another name.",
        )


def _tell_safety(context: Context, safety: Safety, commands: Sequence[str], attempt: Sequence[str]) -> None:
    output, taken = context.output, safety.snapshot
    saved = None if taken is None else {"snapshot": taken.id, "level": safety.level.label}
    output.result(safety=saved, undo=list(commands), undo_attempt=list(attempt))
    if taken is not None:
        output.ok(f"safety snapshot {taken.id} of what is there: {safety.level.label}, kept until it is released")
    for undo in safety.undoes:
        if taken is None or undo.snapshot.id != taken.id:
            output.text(
                f"an earlier restore in place of {', '.join(undo.sources)} did not end: snapshot {undo.snapshot.id} of"
                f" {undo.snapshot.manifest.instant} holds what was there before that"
            )
    _tell(context, commands)
    for command in attempt:
        context.output.text(f"or, to come back to what is there just now: {command}")


def _tell(context: Context, commands: Sequence[str]) -> None:
    for command in commands:
        context.output.text(f"undo it with: {command}")


def _confirm(names: Sequence[str], yes: Sequence[str]) -> None:
    """``RefusedError`` unless the name of each source was typed; where nobody can be asked, it has to be given."""
    for name in yes:
        if name not in names:
            raise UsageError(f"--yes-replace {name}: what is replaced is {', '.join(names)}")
    left = [name for name in names if name not in yes]
    if left and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "a restore in place wants to be confirmed, and there is no terminal to ask",
            hint=f"Add {' '.join(f'--yes-replace {name}' for name in left)} if that is meant.",
        )
    for name in left:
        typed: str = click.prompt(f"Type {name} to replace it", default="", show_default=False, err=True)
        if typed != name:
            raise RefusedError(f"{name} was not confirmed: nothing was replaced")


def _undo(context: Context, undo: Undo, asked: Asked) -> str:
    """The command that brings back what was there."""
    file = context.options.config
    words = ["drtool", "restore", undo.snapshot.id, "--in-place"]
    words += [word for name in undo.sources for word in ("--source", name)]
    words += [word for pattern in undo.only for word in ("--only", pattern)] + ["--users"] * bool(asked.users)
    return shlex.join([*words, *([] if file is None else ["--config", str(file.absolute())])])

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
    from drtool.operations.allotting import Asked
    from drtool.operations.prospects import Prospect
    from drtool.operations.replacing import Safety, Standing
    from drtool.operations.together import Together
    from drtool.repository.repository import Repository

_SHOWN = 20


def announce_replacing(
    context: Context, opened: Repository, together: Together, prospects: Sequence[Prospect]
) -> list[Standing]:
    """What stays although the snapshot does not hold it, and what an undo would leave; and what has to be saved."""
    from drtool.operations.replacing import compare_with

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
    from drtool.operations.prospects import require_free
    from drtool.operations.replacing import Replacing

    config = context.config()
    snapshot = standings[0].prospect.snapshot
    _refuse_namesake(config, snapshot.manifest.job)
    for standing in standings:
        require_free(standing.prospect)
    _confirm([standing.source.name for standing in standings], yes)
    budget = Budget.within(config.limits.memory, config.limits.readers)
    directory = config.repository.state_dir / opened.id
    one = Replacing(opened, snapshot, directory, budget, context.reporter(), context.stopping.wait)
    full = [standing.source for standing in standings if not standing.is_bare]
    with one.alone():
        if not full:
            context.output.result(safety=None, undo=[])
            yield
            return
        try:
            safety = one.save(full)
        except BaseException:
            context.reporter().warn("nothing was replaced: what is there could not be saved")
            raise
        commands = _undo(context, safety, asked)
        _tell_safety(context, safety, commands)
        try:
            with one.replacing(safety):
                yield
        except BaseException:
            context.reporter().warn(
                "what was replaced is neither as it was nor as the snapshot has it: run the same command again, or undo"
                f" it with: {'; '.join(map(shlex.join, commands))}"
            )
            raise
    _tell(context, commands)
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


def _tell_safety(context: Context, safety: Safety, commands: Sequence[Sequence[str]]) -> None:
    level = safety.level.label
    context.output.result(
        safety={"snapshot": safety.snapshot.id, "level": level}, undo=[shlex.join(command) for command in commands]
    )
    context.output.ok(f"safety snapshot {safety.snapshot.id} of what is there: {level}, kept until it is released")
    _tell(context, commands)


def _tell(context: Context, commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        context.output.text(f"undo it with: {shlex.join(command)}")


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


def _undo(context: Context, safety: Safety, asked: Asked) -> list[list[str]]:
    """The commands that bring back what was there; mostly one."""
    file = context.options.config
    by_snapshot: dict[str, list[str]] = {}
    for source, snapshot in safety.undoes.items():
        by_snapshot.setdefault(snapshot, []).append(source)
    rest = [word for pattern in asked.only for word in ("--only", pattern)] + ["--users"] * bool(asked.users)
    rest += [] if file is None else ["--config", str(file.absolute())]
    return [
        ["drtool", "restore", snapshot, "--in-place", *(w for name in names for w in ("--source", name)), *rest]
        for snapshot, names in by_snapshot.items()
    ]

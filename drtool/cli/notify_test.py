"""``drtool notify test``."""

from __future__ import annotations

import click

from drtool.cli.command import Context, drtool_command
from drtool.config.root import Config
from drtool.errors import NotificationError, StateError, UsageError


@drtool_command(
    example="""
drtool notify test
drtool notify test oncall
"""
)
@click.argument("names", nargs=-1, metavar="[TARGET]...")
def command(context: Context, names: tuple[str, ...]) -> None:
    """Send a test message to the notification targets, and say which took it.

    Without a TARGET, to all of them. The message says that it is a test. Exits with 1 when a target did not take it.
    """
    from drtool.operations.unattended.alerting.telling import targets_of
    from drtool.operations.unattended.alerting.trying import send_test

    config = context.config()
    targets = targets_of(config)
    if not targets:
        raise UsageError("no notification target is configured", hint="Name some under notify: in the configuration.")
    if unknown := [name for name in names if name not in targets]:
        raise UsageError(f"there is no notification target {unknown[0]!r}", hint=f"Targets: {', '.join(targets)}")
    chosen = {name: target for name, target in targets.items() if not names or name in names}
    failed = []
    for attempt in send_test(chosen):
        error = attempt.error
        context.output.line(
            "notification",
            target=attempt.target,
            ok=error is None,
            remark=attempt.remark,
            message="" if error is None else error.message,
            hint="" if error is None else error.hint,
        )
        if error is None:
            _note(context, config, attempt.target)
            context.output.ok(f"{attempt.target}: delivered{f'; {attempt.remark}' if attempt.remark else ''}")
        else:
            failed.append(attempt.target)
            hint = f" ({error.hint})" if error.hint else ""
            context.output.text(f"✗ {attempt.target}: {error.message}{hint}")
    if failed:
        raise NotificationError(
            f"{len(failed)} of {len(chosen)} notification targets did not take the test: {', '.join(sorted(failed))}"
        )


def _note(context: Context, config: Config, target: str) -> None:
    """The alert that nothing can be delivered there ends with it."""
    from drtool.operations.unattended.alerting.alerts import reached

    try:
        reached(config, target)
    except StateError as error:
        context.reporter().warn(error.message)

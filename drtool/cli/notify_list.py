"""``drtool notify list``."""

from __future__ import annotations

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import duration


@drtool_command(
    example="""
drtool notify list
drtool notify list --json
"""
)
def command(context: Context) -> None:
    """List the alerts that are open on this host, and how deliveries to each notification target go.

    KEY is what drtool notify acknowledge takes.
    """
    from drtool.local.clock import now
    from drtool.operations.unattended.alerting.alerts import standing_of_notifications

    at = now()
    alerts, targets = standing_of_notifications(context.config_for_alerts())
    for alert in alerts:
        condition = alert.condition
        context.output.line(
            "alert",
            alert=condition.key,
            severity=condition.severity.label,
            title=condition.title,
            text=condition.text,
            job=condition.job,
            run=condition.run,
            since=condition.since,
            opened=alert.opened,
            acknowledged=alert.who,
        )
    for name, state in targets.items():
        context.output.line(
            "target",
            target=name,
            ok=not state.failures,
            last_success=state.succeeded,
            failing_since=state.failing_since,
            failures=state.failures,
            message=state.error,
            next_try=state.next,
        )
    context.output.result(alerts=len(alerts))
    if alerts:
        rows = [
            (
                alert.condition.key,
                alert.condition.severity.label,
                duration((at - alert.condition.since).total_seconds()),
                alert.who,
                alert.condition.title,
            )
            for alert in alerts
        ]
        context.output.table(("KEY", "SEVERITY", "SINCE", "SEEN TO BY", "WHAT"), rows)
    else:
        context.output.ok("no alert is open")
    for name, state in targets.items():
        if state.failures:
            context.output.text(f"{name}: failed {state.failures} times, last: {state.error}")
        elif state.succeeded is not None:
            ago = duration((at - state.succeeded).total_seconds())
            context.output.text(f"{name}: last delivery {ago} ago")
        else:
            context.output.text(f"{name}: nothing was delivered yet")

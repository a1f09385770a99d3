"""After each run: what the repository holds is looked up, alerts and metrics are brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drtool.config.masking import mask
from drtool.config.root import Config
from drtool.errors import DrtoolError, InterruptedRunError
from drtool.local.clock import Clock
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.alerting.telling import tell
from drtool.operations.unattended.configuration.keeping import keep_by_hand
from drtool.operations.unattended.standing.exposing import expose
from drtool.operations.unattended.standing.surveying import refresh_if_old, refreshed
from drtool.scheduling.ledger import Ledger, Outcome, RunRecord, RunState

#: What runs every few minutes: the repository is not asked each time.
_FREQUENT = ("pitr capture",)


def spread(
    config: Config,
    ledger: Ledger | None,
    record: RunRecord,
    outcome: Outcome,
    reporter: Reporter,
    clock: Clock,
    *,
    in_haste: bool = False,
) -> None:
    """Bring everything up to date with the end of a run; what goes wrong here is a warning, and left to the next
    ``schedule run``. `in_haste` only what lies on this host is."""
    for step in _steps(config, ledger, record, outcome, reporter, clock, in_haste):
        try:
            step()
        except InterruptedRunError:
            raise
        except DrtoolError as error:
            reporter.warn(error.message)
        except OSError as error:
            reporter.warn(f"{error.filename or 'the local state'}: {error.strerror or error}")


def _steps(
    config: Config,
    ledger: Ledger | None,
    record: RunRecord,
    outcome: Outcome,
    reporter: Reporter,
    clock: Clock,
    in_haste: bool,
) -> Iterator[Callable[[], object]]:
    if ledger is not None:
        yield lambda: keep_by_hand(config)
    # A store that failed a moment ago is left to schedule run: it may take long not to answer.
    if ledger is not None and not in_haste and outcome.state in (RunState.OK, RunState.PARTIAL):
        refresh = refresh_if_old if record.task in _FREQUENT else refreshed
        yield lambda: refresh(config, ledger, clock)
    if not in_haste:
        also = [] if ledger is not None else list(_unrecorded(record, outcome, clock))
        yield lambda: tell(config, reporter, clock, also)
    yield lambda: expose(config, reporter, clock)


def _unrecorded(record: RunRecord, outcome: Outcome, clock: Clock) -> Iterator[Condition]:
    """A failure that is nowhere on record."""
    if outcome.state in (RunState.OK, RunState.SKIPPED):
        return
    name = record.job or record.entry
    severity = Severity.CRITICAL if record.task == "backup" else Severity.WARNING
    what = f"{record.task} {name}".rstrip()
    yield Condition(
        f"failed/{record.task.replace(' ', '-')}/{name}",
        severity,
        f"{what[:1].upper()}{what[1:]} failed: {mask(outcome.message)}",
        mask(outcome.hint),
        clock(),
        record.job,
        record.id,
    )

"""What ``schedule run`` does each minute beside starting what is due: silence is noticed only by who looks."""

from __future__ import annotations

from collections.abc import Callable

from drtool.config.root import Config
from drtool.errors import DrtoolError, InterruptedRunError
from drtool.local.clock import Clock
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.alerting.telling import tell
from drtool.operations.unattended.standing.exposing import expose
from drtool.operations.unattended.standing.surveying import refresh_if_old
from drtool.scheduling.ledger import Ledger


def watch(config: Config, ledger: Ledger, reporter: Reporter, clock: Clock) -> None:
    """Ask the repository how it stands where that was long ago, tell what is wrong, and bring metrics up to date; what
    of this cannot be done is a warning. By a configuration without jobs the repository cannot be asked."""
    steps: tuple[Callable[[], object], ...] = (
        *([lambda: refresh_if_old(config, ledger, clock)] if config.jobs else []),
        lambda: tell(config, reporter, clock),
        lambda: expose(config, reporter, clock),
    )
    for step in steps:
        try:
            step()
        except InterruptedRunError:
            raise
        except DrtoolError as error:
            reporter.warn(error.message)
        except OSError as error:
            reporter.warn(f"{error.filename or 'the local state'}: {error.strerror or error}")

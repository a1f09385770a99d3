"""Everything that is wrong just now, from the configuration, this host's ledger, and what the repository last said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drtool.config.root import Config
from drtool.local.clock import Clock, now
from drtool.monitoring.conditions import Condition
from drtool.operations.unattended.alerting.of_configuration import CONFIGURATION, conditions_of_configuration
from drtool.operations.unattended.alerting.of_host import conditions_of_host
from drtool.operations.unattended.alerting.of_repository import UNKNOWN_WITHOUT, conditions_of_repository
from drtool.operations.unattended.alerting.of_runs import conditions_of_runs
from drtool.operations.unattended.alerting.view import View
from drtool.operations.unattended.configuration.noting import is_another_broken
from drtool.operations.unattended.standing.survey import Survey
from drtool.scheduling.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is wrong, and of what nobody can tell: conditions whose keys begin with one of ``unknown``."""

    conditions: tuple[Condition, ...]
    unknown: tuple[str, ...] = ()

    def is_unknown(self, key: str) -> bool:
        """Can nobody tell whether this is still so?"""
        return key.startswith(self.unknown)


def assess(config: Config, ledger: Ledger, survey: Survey | None, clock: Clock = now) -> Assessment:
    """What is wrong just now; by a configuration without jobs, of which only that much could be read (`rescued`),
    nobody can tell anything but that."""
    view = View.of(config, ledger, survey, clock())
    if not config.jobs:
        return Assessment(tuple(conditions_of_configuration(view)), ("",))
    is_known = survey is not None and survey.unanswered is None
    of_others = (CONFIGURATION,) if is_another_broken(ledger, config.path, view.now) else ()
    return Assessment(tuple(_conditions(view)), (*of_others, *(() if is_known else UNKNOWN_WITHOUT)))


def conditions_of(config: Config, ledger: Ledger, survey: Survey | None, clock: Clock = now) -> list[Condition]:
    """What is wrong just now, as far as it can be told."""
    return list(assess(config, ledger, survey, clock).conditions)


def _conditions(view: View) -> Iterator[Condition]:
    yield from conditions_of_configuration(view)
    yield from conditions_of_runs(view)
    yield from conditions_of_repository(view)
    yield from conditions_of_host(view)

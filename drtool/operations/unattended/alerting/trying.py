"""A test message, so that a target is known to work before it is needed."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from drtool.local.clock import Clock, now
from drtool.monitoring.alerting.delivering import Attempt, deliver
from drtool.monitoring.alerting.messages import Kind, Notice
from drtool.monitoring.conditions import Condition, Severity
from drtool.monitoring.targets.base import Target


def send_test(targets: Mapping[str, Target], clock: Clock = now) -> Iterator[Attempt]:
    """Send a test message to each, whatever it is configured to hear of; what came of it, as it comes."""
    at = clock()
    condition = Condition(
        "test",
        Severity.INFO,
        "drtool can reach you here",
        "Nothing is wrong: somebody called drtool notify test.",
        at,
    )
    notice = Notice(Kind.TEST, condition, at)
    yield from deliver(targets, {name: [notice] for name in targets}, socket.gethostname(), at)

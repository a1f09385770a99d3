"""A program of the operator's, for what drtool does not speak to itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import Any

from drtool.config.masking import mask
from drtool.config.notify import CommandSettings
from drtool.errors import NotificationError
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import body, clipped, facts, one_line, subject

_SAID = 200


class Command:
    """A program that gets the message as JSON on its standard input, and takes it by exiting with 0."""

    shown = 100
    separate = False

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Run it."""
        settings = self._settings
        try:
            process = subprocess.Popen(
                settings.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise NotificationError(f"{settings.command[0]} cannot be started: {error.strerror}") from None
        with process:
            try:
                _, errors = process.communicate(json.dumps(payload(message)).encode(), settings.timeout)
            except subprocess.TimeoutExpired as late:
                errors = late.stderr or b""
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise NotificationError(f"{settings.command[0]} did not end within {settings.timeout:g} s")
        # One that ended has taken it, also where what it left running holds its standard error.
        if process.returncode:
            last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
            reason = f": {clipped(one_line(mask(last)), _SAID)}" if last else ""
            raise NotificationError(f"{settings.command[0]} ended with exit code {process.returncode}{reason}")
        return ""


def payload(message: Message) -> dict[str, Any]:
    """What the program is told; ``version`` changes when a field changes its meaning."""
    return {
        "version": 1,
        "subject": subject(message),
        "host": message.host,
        "at": message.at.isoformat(),
        "more": message.more,
        "alerts": [_alert(notice, message) for notice in message.notices],
    }


def _alert(notice: Notice, message: Message) -> dict[str, Any]:
    condition = notice.condition
    return {
        "alert": condition.key,
        "kind": str(notice.kind),
        "severity": condition.severity.label,
        "title": condition.title,
        "text": body(notice),
        "since": condition.since.isoformat(),
        "ended": None if notice.ended is None else notice.ended.isoformat(),
        "job": condition.job,
        "run": condition.run,
        "facts": dict(facts(notice, message)),
    }

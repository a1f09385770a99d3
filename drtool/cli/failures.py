"""The one place where errors become exit codes and words."""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import dataclass, replace

import click
from click.exceptions import NoArgsIsHelpError

from drtool.cli.output import printable
from drtool.config.masking import mask
from drtool.errors import DrtoolError, ExitCode, InterruptedRunError, UsageError

#: What an interrupted command leaves, and what to do about it; the others leave nothing to act on.
_INTERRUPTED = {
    "backup": InterruptedRunError.default_hint,
    "copy": InterruptedRunError.default_hint,
    "restore": "What was written so far is in the target and marked as unfinished;"
    " the same command begins it anew and replaces it.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told about an error. ``help_text`` stands in for the message on a terminal where it is not empty."""

    exit_code: ExitCode
    kind: str
    message: str
    hint: str = ""
    help_text: str = ""
    traceback: str = ""

    def masked(self) -> Failure:
        """The same without the secrets that this process knows."""
        return replace(self, message=mask(self.message), hint=mask(self.hint), traceback=mask(self.traceback))

    def as_json(self) -> dict[str, str]:
        """The ``error`` of a result line."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}

    def print(self, *, verbose: bool) -> None:
        """Tell it on standard error."""
        text = self.traceback if verbose else ""
        if self.help_text:
            text += f"{self.help_text}\n"
        else:
            text += f"error: {self.message}\n" + (f"hint: {self.hint}\n" if self.hint else "")
        with contextlib.suppress(OSError):  # nobody reads standard error: there is nobody to tell
            sys.stderr.write(printable(text))
            sys.stderr.flush()


def explain(error: BaseException, command: str = "") -> Failure:
    """What an error means for the user, who asked for `command` (``config check``)."""
    match error:
        case InterruptedRunError():
            return Failure(error.exit_code, error.kind, error.message, _INTERRUPTED.get(command, ""))
        case DrtoolError():
            return Failure(error.exit_code, error.kind, error.message, error.hint)
        case KeyboardInterrupt():
            name = str(error) or "SIGINT"
            return explain(InterruptedRunError(f"stopped by {name}"), command)
        case click.ClickException():
            return _usage(error, f"drtool {command}".rstrip())
        case click.Abort():
            return explain(InterruptedRunError("stopped at a question"), command)
    return Failure(
        ExitCode.FAILED,
        "internal",
        f"this is a bug in drtool: {' '.join(traceback.format_exception_only(error)).strip()}",
        "Run the same again with -v, and report what it prints.",
        traceback="".join(traceback.format_exception(error)),
    )


def _usage(error: click.ClickException, command: str) -> Failure:
    kind, hint = UsageError("").kind, f"See: {command} --help"
    if isinstance(error, NoArgsIsHelpError) and error.ctx:
        return Failure(ExitCode.USAGE, kind, "a command is missing", hint, help_text=error.ctx.get_help())
    message = error.format_message().rstrip(".")
    return Failure(ExitCode.USAGE, kind, message[:1].lower() + message[1:], hint)

"""Which runs of which commands are told in the audit log, and what it is told of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from drtool.cli import table
from drtool.cli.failures import explain
from drtool.cli.jsonlines import encode
from drtool.cli.output import OutputClosedError
from drtool.cli.table import Audited
from drtool.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from drtool.cli.context import Context
    from drtool.operations.unattended.auditing.entries import Result
    from drtool.operations.unattended.auditing.place import Place

#: Fields of result lines that say what was done, and to what.
_FACTS = (
    *("snapshot", "snapshots", "target", "targets", "path", "repository", "url", "plan", "announced", "finished"),
    *("deleted", "freed_bytes", "copied", "failed", "created", "keys_changed", "pin", "released", "recipient"),
    *("fingerprint", "agent", "role", "agent_key", "identity", "revoked", "signer", "catalog_key", "object_lock"),
    *("changed", "rebuilt", "back", "acknowledged", "safety", "entry", "installed", "removed"),
)
_LONGEST = 200
_MOST = 50


@contextlib.contextmanager
def audited(ctx: click.Context, context: Context, arguments: Sequence[str]) -> Iterator[None]:
    """Inside, a command runs that was called with these arguments."""
    command = context.options.command
    rule = next((entry.audited for entry in table.ENTRIES if entry.name == command), None)
    if not applies(rule, ctx.params):
        yield
        return
    from drtool.operations.unattended.auditing import recording as auditing
    from drtool.operations.unattended.auditing.entries import Deed, Result
    from drtool.repository.ids import new_id

    place = _place(context)  # which begins the run's log, too
    deed = Deed(command, arguments, context.log.run if context.log is not None else new_id())

    def result(error: BaseException | None) -> Result:
        return Result(*_outcome(error, command), facts=_facts(context))

    def warn(text: str) -> None:
        context.reporter().warn(text)

    if place is None:
        yield  # without a configuration there is no log; init may have written one
        if (place := _place(context)) is not None:
            auditing.tell_done(place, deed, result(None), warn)
        return
    seldom = rule is Audited.SELDOM and not ctx.params.get("follow")
    with (auditing.audited_seldom if seldom else auditing.audited)(place, deed, result, warn):
        yield


def applies(rule: Audited | None, params: Mapping[str, Any]) -> bool:
    """Is a command with this rule told that was given these parameters?"""
    if rule is None or rule is Audited.NO or params.get("dry_run"):
        return False
    if rule is Audited.READING:
        return params.get("level") in ("readable", "restored")
    return rule is not Audited.APPLYING or bool(params.get("applies"))


def _place(context: Context) -> Place | None:
    from drtool.operations.unattended.auditing.place import Place

    try:
        return context.place or Place.of(context.config())
    except ConfigError:  # the command says so itself, if it needs one
        return None


def _outcome(error: BaseException | None, command: str) -> tuple[int, str]:
    match error:
        case None:
            return ExitCode.OK, ""
        case Exit():
            return error.exit_code, ""
        case OutputClosedError():
            return ExitCode.FAILED, "output-closed"
    failure = explain(error, command)
    return failure.exit_code, failure.kind


def _facts(context: Context) -> dict[str, Any]:
    fields = context.output.fields
    told = {name: fields[name] for name in _FACTS if fields.get(name)}
    found: dict[str, Any] = json.loads(encode({**told, **context.facts}), parse_float=float)
    return {name: _short(value) for name, value in found.items()}


def _short(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        case list():
            rest = len(value) - _MOST
            return [_short(one) for one in value[:_MOST]] + ([f"… and {rest} more"] if rest > 0 else [])
        case dict():
            return {str(name): _short(inner) for name, inner in list(value.items())[:_MOST]}
    return value

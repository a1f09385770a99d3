"""Which commands are told in the audit log: each says so."""

from __future__ import annotations

import importlib

import click
import pytest

from drtool.cli.auditing import applies
from drtool.cli.table import ENTRIES, Audited, Entry

#: Commands that change nothing anybody could miss, and read no data back.
HARMLESS = {
    "demo",
    "snapshots",
    "show",
    "pitr status",
    "retention list",
    "retention plan",
    "retention simulate",
    "key list",
    "audit show",
    "audit verify",
    "doctor",
    "config check",
    "config schema",
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_command_says_whether_it_is_told(entry: Entry) -> None:
    assert entry.audited is not None, f"{entry.name}: say in drtool/cli/table.py when it is told in the audit log"
    command = importlib.import_module(entry.module).command
    assert isinstance(command, click.Command)
    names = {param.name for param in command.params}
    assert "level" in names or entry.audited is not Audited.READING
    assert "applies" in names or entry.audited is not Audited.APPLYING
    assert "follow" in names or entry.audited is not Audited.SELDOM


def test_what_is_harmless_is_not_told() -> None:
    untold = {entry.name for entry in ENTRIES if entry.audited is Audited.NO}
    assert untold >= HARMLESS
    destroys = {"restore", "export", "prune", "retention apply", "key revoke", "key recover", "key paper", "release"}
    assert not untold & destroys


@pytest.mark.parametrize(
    ("rule", "given", "told"),
    [
        (None, {}, False),
        (Audited.NO, {}, False),
        (Audited.YES, {}, True),
        (Audited.YES, {"dry_run": True}, False),
        (Audited.READING, {"level": "intact"}, False),
        (Audited.READING, {"level": "readable"}, True),
        (Audited.READING, {"level": "restored"}, True),
        (Audited.APPLYING, {"applies": False}, False),
        (Audited.APPLYING, {"applies": True}, True),
        (Audited.SELDOM, {}, True),
    ],
)
def test_when_it_is_told(rule: Audited | None, given: dict[str, object], told: bool) -> None:
    assert applies(rule, given) is told

"""The sources: reachable, granted what is needed, and is there a program to restore into?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from drtool.operations.doctor.findings import Finding, Verdict, tried
from drtool.operations.opening import open_source

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.sources.base import Source


def examine_target(config: Config, to: str) -> Iterator[Finding]:
    """May the account of `to` restore there, and to a point in time? For each source, what it lacks."""
    for name in sorted(config.sources):
        yield from tried(f"restore of {name}", partial(_target, config, name, to))


def roles_of(config: Config) -> Iterator[tuple[str, str, str]]:
    """For each source that has accounts: its name, what a role is for, the commands that create it."""
    for name in sorted(config.sources):
        with contextlib.closing(open_source(name, config.sources[name])) as source:
            for purpose, commands in source.roles().items():
                yield name, purpose, commands


def examine_source(config: Config, name: str) -> Iterator[Finding]:
    """Is it reachable, what can be had of it, and what does its account lack?"""
    with contextlib.closing(open_source(name, config.sources[name])) as source:
        probe = source.probe()
        about = f"{probe.type} {probe.version}, {probe.topology}: {probe.consistency}"
        yield Finding(f"source {name}", Verdict.OK, about)
        for warning in probe.warnings:
            yield Finding(f"source {name}", Verdict.WARNING, warning)
        for lack in source.lacks():
            verdict = Verdict.FAILED if lack.fatal else Verdict.WARNING
            hint = f"Without it: {lack.lost}. drtool doctor --print-roles backup shows a role that has it."
            yield Finding(f"source {name}", verdict, f"the account lacks {lack.privilege}", hint)
        yield from tried(f"restore of {name}", lambda: _own_account(name, source))
        yield from tried(f"sandbox of {name}", lambda: _sandbox(name, source.sandbox_program(probe.version)))


def _target(config: Config, name: str, to: str) -> Iterator[Finding]:
    with contextlib.closing(open_source(name, config.sources[name])) as source:
        lacks, to_a_time = source.restore_lacks(to), _to_a_time(source)
    if not lacks:
        yield Finding(f"restore of {name}", Verdict.OK, f"the account may restore{to_a_time}")
    for lack in lacks:
        verdict = Verdict.FAILED if lack.fatal else Verdict.WARNING
        hint = f"Without it: {lack.lost}. drtool doctor --print-roles replay shows a role that has it."
        yield Finding(f"restore of {name}", verdict, f"the account lacks {lack.privilege}", hint)


def _own_account(name: str, source: Source) -> Iterator[Finding]:
    """A backup's account need not restore, but who is woken at night should know."""
    check = f"restore of {name}"
    lacks = source.restore_lacks(None)
    if any(lack.fatal for lack in lacks):
        yield Finding(check, Verdict.OK, "this account may not restore: use restore --to with one that may")
    elif lacks:
        yield Finding(check, Verdict.OK, "this account may restore, but not everything: see doctor --to with its URI")
    else:
        yield Finding(check, Verdict.OK, f"this account may restore{_to_a_time(source)}")


def _to_a_time(source: Source) -> str:
    """What a kind with a log allows beyond."""
    return "" if source.log() is None else ", also to a point in time"


def _sandbox(name: str, program: str) -> Iterator[Finding]:
    yield Finding(f"sandbox of {name}", Verdict.OK, f"trial restores can use {program}")

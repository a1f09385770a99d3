"""Somebody alters one bit of a backup, and is found out."""

from __future__ import annotations

import contextlib
from pathlib import Path

from drtool.config.root import Config
from drtool.operations.budget import Budget
from drtool.operations.catalogue import read_known
from drtool.operations.choosing import LATEST
from drtool.operations.contents import Contents
from drtool.operations.demo.application import DATABASE
from drtool.operations.demo.steps import Check, TamperFigures
from drtool.operations.demo.thief import no_source
from drtool.operations.opening import repository_of
from drtool.operations.reporting import Reporter
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verification, Verifier
from drtool.repository.cache import Location
from drtool.repository.levels import Level
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader


def tamper(config: Config, store: Path, reporter: Reporter) -> tuple[TamperFigures, list[Check]]:
    """Flip a bit within the newest snapshot's accounts, check it as a backup host does, and put the bit right."""
    location = _of_an_account(config)
    name = pack_name(location.pack)
    offset = location.offset + location.stored // 2
    _flip(store / name, offset)
    try:
        found = _verify(config, reporter)
    finally:
        _flip(store / name, offset)
    mended = _verify(config, reporter)
    named = [problem for problem in found.problems if problem.object == name]
    others = [problem.object for problem in found.problems if problem.object != name]
    problems = "; ".join(problem.message for problem in mended.problems[:5])
    checks = [
        Check("found", bool(named), f"{name[:20]}… was {'' if named else 'not '}named"),
        Check("only-that", not others, f"other objects named: {', '.join(others) or 'none'}"),
        Check("sound-again", mended.ok, problems or "with the bit put right, nothing is found"),
    ]
    figures = TamperFigures(name, offset, found.checked.objects, named[0].message if named else "")
    return figures, checks


def _of_an_account(config: Config) -> Location:
    """Where the first accounts of the newest snapshot lie."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository))
        snapshot = read_known(opened).choose(LATEST).snapshot
        opened.refresh_index()
        reader = ChunkReader(opened)
        stack.callback(reader.close)
        contents = Contents(reader, snapshot.manifest)
        [accounts] = [entry for entry in contents.streams() if entry.name == f"{DATABASE}.accounts"]
        return reader.locations(next(contents.refs(accounts)).id)[0]


def _verify(config: Config, reporter: Reporter) -> Verification:
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository))
        snapshot = read_known(opened).choose(LATEST).snapshot
        opened.refresh_index()
        budget = Budget.within(config.limits.memory, config.limits.readers)
        verifier = Verifier(opened, budget, reporter, no_source)
        stack.callback(verifier.close)
        return verifier.verify(snapshot, Level.INTACT, Sample())


def _flip(path: Path, offset: int) -> None:
    """Turn the lowest bit of a byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))

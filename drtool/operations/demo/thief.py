"""What the agent key alone is good for: it lists and checks everything, and reads nothing."""

from __future__ import annotations

import contextlib

from drtool.config.root import Config
from drtool.errors import WrongKeyError
from drtool.operations.budget import Budget
from drtool.operations.catalogue import read_known
from drtool.operations.choosing import LATEST
from drtool.operations.contents import Contents
from drtool.operations.demo.application import DATABASE
from drtool.operations.demo.steps import Check, KeyFigures
from drtool.operations.opening import repository_of
from drtool.operations.reporting import Reporter
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verifier
from drtool.repository.levels import Level
from drtool.repository.manifests import SourceEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Source


def look_around(config: Config, reporter: Reporter) -> tuple[KeyFigures, list[Check]]:
    """Open the repository as a backup host does, check its newest snapshot, and try to read a record of it."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository_of(config.repository))
        known = read_known(opened)
        snapshot = known.choose(LATEST).snapshot
        opened.refresh_index()
        budget = Budget.within(config.limits.memory, config.limits.readers)
        verifier = Verifier(opened, budget, reporter, no_source)
        stack.callback(verifier.close)
        outcome = verifier.verify(snapshot, Level.INTACT, Sample())
        reader = ChunkReader(opened)
        stack.callback(reader.close)
        contents = Contents(reader, snapshot.manifest)
        streams = contents.streams()
        refusal = _refusal(opened, contents)
    problems = "; ".join(problem.message for problem in outcome.problems[:5])
    checks = [
        Check("intact", outcome.ok, problems or f"{outcome.checked.objects} objects are there, each with its checksum"),
        Check("cannot-read", bool(refusal), f"a record could {'not ' if refusal else ''}be read without the identity"),
    ]
    figures = KeyFigures(
        snapshots=len(known.catalogue.snapshots),
        streams=len(streams),
        objects=outcome.checked.objects,
        bytes=outcome.checked.bytes,
        refusal=refusal,
    )
    return figures, checks


def _refusal(opened: Repository, contents: Contents) -> str:
    """The error that reading the first account gives, or "" if it could be read."""
    assert opened.identity is None, "this must show the agent key alone"
    [accounts] = [entry for entry in contents.streams() if entry.name == f"{DATABASE}.accounts"]
    try:
        next(contents.records(accounts))
    except WrongKeyError as error:
        return error.message
    return ""


def no_source(origin: SourceEntry) -> Source:
    """For levels that need none."""
    raise AssertionError(f"level intact opens no source, and {origin.name} was asked for")

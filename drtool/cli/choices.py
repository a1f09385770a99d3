"""What several commands need alike: opening what the configuration names, and naming a snapshot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from drtool.cli.context import Context
from drtool.errors import DrtoolError, UsageError

if TYPE_CHECKING:
    from drtool.operations.catalogue import Known
    from drtool.operations.reporting import Reporter
    from drtool.repository.manifests import Manifest, SourceEntry
    from drtool.repository.repository import Repository


@contextlib.contextmanager
def repository(context: Context, *, reads_data: bool = False, from_store: bool = False) -> Iterator[Repository]:
    """The repository of the configuration; with the identity where data is read. With `from_store` nothing that is
    listed comes from this host's cache."""
    from drtool.operations.opening import repository_of

    settings = context.config().repository
    with repository_of(settings, reads_data=reads_data, from_store=from_store, cancelled=context.stopping) as opened:
        yield opened


def known(context: Context, opened: Repository) -> Known:
    """All snapshots and what is known of them; what is wrong with the repository is told as warnings."""
    from drtool.operations.catalogue import read_known

    found = read_known(opened)
    reporter = context.reporter()
    for problem in found.problems:
        reporter.warn(problem.message)
    return found


def refresh_index(opened: Repository, reporter: Reporter) -> list[DrtoolError]:
    """Bring the local index up to date; what is wrong with index objects is told as warnings, too."""
    problems = opened.refresh_index()
    for problem in problems:
        reporter.warn(problem.message)
    return problems


def expanded(option: str, text: str) -> str:
    """What was typed after `option`, with ``${NAME}`` filled in here: a password need not stand in the process list."""
    from drtool.config.environment import expand
    from drtool.config.masking import MASKER

    try:
        filled = expand(text, os.environ)
        if "@" in filled:
            MASKER.add(filled)
        return filled
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def pairs(option: str, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``OLD=NEW`` as typed after `option`, taken apart."""
    found = []
    for text in texts:
        old, separator, new = text.partition("=")
        if not (old and separator and new):
            raise UsageError(f"{option} {text}: write OLD=NEW")
        found.append((old, new))
    return tuple(found)


def origins_of(manifest: Manifest, names: Collection[str]) -> list[SourceEntry]:
    """The sources of a snapshot that ``--source`` names, in the job's order; all of them where it names none."""
    held = [source.name for source in manifest.sources]
    for name in names:
        if name not in held:
            raise UsageError(f"the snapshot has no source {name!r}", hint=f"It has: {', '.join(held)}")
    return [source for source in manifest.sources if not names or source.name in names]

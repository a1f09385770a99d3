"""The demonstration from its beginning to its end. Whatever it claims it has just computed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from drtool.config.root import Config
from drtool.errors import VerificationFailedError
from drtool.operations.backup.backup import back_up
from drtool.operations.backup.committing import BackupResult
from drtool.operations.budget import Budget
from drtool.operations.demo.application import DATABASE, Client, sum_of_balances
from drtool.operations.demo.companions import State, compare_companions
from drtool.operations.demo.day import pass_a_day
from drtool.operations.demo.fingerprint import Fingerprint, compare, fingerprint
from drtool.operations.demo.restoring import restore_all, restore_latest, verify_latest
from drtool.operations.demo.rotation import rotate
from drtool.operations.demo.seeding import TRANSFERS, seed
from drtool.operations.demo.server import Program, check_ended, find_program, serving
from drtool.operations.demo.steps import (
    Audience,
    BackupFigures,
    Chapter,
    Check,
    CleanupFigures,
    DisasterFigures,
    Figures,
    IncrementFigures,
    RepositoryFigures,
    ServerFigures,
    Step,
)
from drtool.operations.demo.tampering import tamper
from drtool.operations.demo.thief import look_around
from drtool.operations.demo.transfers import Transfers, check_instant
from drtool.operations.demo.workplace import JOB, SETTINGS, SOURCE, VECTORS, Workplace, workplace
from drtool.operations.init import init
from drtool.operations.opening import open_source, repository_of, storage_of
from drtool.operations.reporting import Reporter
from drtool.sources.base import Source
from drtool.sources.mongodb import MongoSource
from drtool.sources.qdrant.shards import engine
from drtool.sources.reading import Consistency

_SEED = 1789
#: The share of the first backup's bytes that the second may store; about one record in fifty changes in between.
_NEW_PART = 0.25
_COPY = f"{DATABASE}_copy"


@dataclass(frozen=True, slots=True)
class Told:
    """A story that went well: where it took place, the checks that were made, and how many seconds it took."""

    place: Workplace
    checks: Sequence[Check]
    seconds: float


def tell(directory: Path | None, audience: Audience, reporter: Reporter, *, keep: bool) -> Told:
    """Play the story in `directory` (new or empty; None: a temporary one), which goes afterwards unless kept.

    ``UsageError`` for a directory that cannot be used, ``MissingToolError`` without a mongod or Qdrant's engine,
    ``VerificationFailedError`` at the end of the chapter in which a check failed.
    """
    started = time.monotonic()
    program = find_program()
    engine()
    teller = Teller(audience)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(workplace(directory, keep=keep))
        teller.begin(Chapter.SERVER)
        server, client = stack.enter_context(serving(program, place.server))
        teller.end(ServerFigures(program.version, program.path, place.root))
        source = MongoSource(SOURCE, uri=server.uri, databases=(DATABASE,), mongod=program.path)
        stack.callback(source.close)
        _Story(place, program, client, source, server.uri, teller, reporter, stack).play()
        teller.begin(Chapter.CLEANUP)
    teller.end(CleanupFigures(place.root, keep), [check_ended(server), place.check_left(keep=keep)])
    return Told(place, teller.checks, time.monotonic() - started)


class Teller:
    """Takes the time of chapters and collects their checks."""

    def __init__(self, audience: Audience) -> None:
        self.checks: list[Check] = []
        self._audience = audience
        self._chapter = Chapter.SERVER
        self._since = 0.0

    def begin(self, chapter: Chapter) -> None:
        """A chapter begins."""
        self._chapter = chapter
        self._since = time.monotonic()
        self._audience.begin(chapter)

    def end(self, figures: Figures, checks: Sequence[Check] = ()) -> None:
        """It is over. ``VerificationFailedError``, once it was told, where a check failed."""
        self.checks += checks
        self._audience.end(Step(self._chapter, time.monotonic() - self._since, figures, tuple(checks)))
        failed = [check for check in checks if not check.ok]
        if failed:
            raise VerificationFailedError(
                f"{len(failed)} checks failed: " + "; ".join(f"{check.name} ({check.message})" for check in failed),
                hint="This is a bug in drtool, or a damaged installation: report it with what was printed.",
            )


@dataclass
class _Story:
    place: Workplace
    program: Program
    client: Client
    source: MongoSource
    uri: str
    teller: Teller
    reporter: Reporter
    stack: contextlib.ExitStack
    beside: Sequence[Source] = ()

    def play(self) -> None:
        """All chapters after the first."""
        chance = Random(_SEED)
        self.teller.begin(Chapter.SEED)
        self.teller.end(seed(self.client, self.place.companions, chance))
        config = self._make_repository()
        self.beside = [open_source(name, config.sources[name]) for name in (VECTORS, SETTINGS)]
        for source in self.beside:
            self.stack.callback(source.close)
        budget = Budget.within(config.limits.memory, config.limits.readers)
        first = self._back_up_under_load(config, budget)
        self._look_around(config)
        self._back_up_again(config, budget, chance, first)
        self._verify(config, budget)
        self._restore(config, budget, *self._destroy())
        self.teller.begin(Chapter.TAMPER)
        self.teller.end(*tamper(config, self.place.repository, self.reporter))
        self.teller.begin(Chapter.ROTATION)
        self.teller.end(*rotate(self.place, datetime.now(UTC)))

    def _make_repository(self) -> Config:
        self.teller.begin(Chapter.REPOSITORY)
        config = self.place.configure(self.program.path)
        with storage_of(config.repository) as storage:
            made = init(storage, agent_key=self.place.agent_key, identity=self.place.identity)
        self.teller.end(RepositoryFigures(made.repository, self.place.repository, made.agent_key, made.identity))
        return config

    def _back_up(self, config: Config, budget: Budget) -> BackupResult:
        """As a backup host does: with the agent key alone."""
        with repository_of(config.repository) as repository:
            return back_up(repository, JOB, [self.source, *self.beside], budget, self.reporter)

    def _back_up_under_load(self, config: Config, budget: Budget) -> BackupResult:
        self.teller.begin(Chapter.BACKUP)
        total = sum_of_balances(self.client[DATABASE])
        transfers = Transfers(self.client, Random(_SEED), TRANSFERS)
        with transfers.running():
            before = transfers.committed
            result = self._back_up(config, budget)
            after = transfers.committed
        renamed = tuple((f"{DATABASE}.{name}", f"{_COPY}.{name}") for name in ("accounts", "transactions"))
        restore_latest(config, self.source, budget, self.reporter, self.uri, rename=renamed, only=True)
        included, checks = check_instant(self.client[_COPY], total, before, after)
        exact = Check("consistency", result.consistency is Consistency.EXACT, f"the snapshot is {result.consistency}")
        figures = BackupFigures(result, after - before, included - before, sum_of_balances(self.client[_COPY]))
        self.client.drop_database(_COPY)
        self.teller.end(figures, [exact, *checks])
        return result

    def _look_around(self, config: Config) -> None:
        self.teller.begin(Chapter.KEYS)
        self.teller.end(*look_around(config, self.reporter))

    def _back_up_again(self, config: Config, budget: Budget, chance: Random, first: BackupResult) -> None:
        self.teller.begin(Chapter.INCREMENT)
        changes = pass_a_day(self.client, chance)
        self.place.companions.follow(self.client[DATABASE])
        result = self._back_up(config, budget)
        part = result.stored_bytes / first.stored_bytes
        figures = IncrementFigures(
            changes.updated,
            changes.inserted,
            changes.deleted,
            changes.documents,
            result,
            first.stored_bytes,
        )
        message = f"the second backup stored {part:.1%} of what the first one did"
        self.teller.end(figures, [Check("deduplicated", part < _NEW_PART, message)])

    def _verify(self, config: Config, budget: Budget) -> None:
        self.teller.begin(Chapter.VERIFY)
        self.teller.end(*verify_latest(config, [self.source, *self.beside], budget, self.reporter))

    def _destroy(self) -> tuple[Fingerprint, State]:
        self.teller.begin(Chapter.DISASTER)
        before = fingerprint(self.client[DATABASE])
        beside = self.place.companions.state(self.client[DATABASE])
        self.place.companions.lose()
        self.client.drop_database(DATABASE)
        left = len(self.client[DATABASE].list_collection_names())
        gone = Check("gone", left == 0, f"{left} collections are left in {DATABASE}")
        figures = DisasterFigures(before.documents, len(beside.points), len(beside.files), left)
        self.teller.end(figures, [gone])
        return before, beside

    def _restore(self, config: Config, budget: Budget, before: Fingerprint, beside: State) -> None:
        self.teller.begin(Chapter.RESTORE)
        companions = self.place.companions
        places = {SOURCE: self.uri, VECTORS: str(companions.vectors), SETTINGS: "/"}
        figures = restore_all(config, [self.source, *self.beside], budget, self.reporter, places)
        complete = Check(
            "complete",
            figures.records == figures.expected_records,
            f"{figures.records:,} of {figures.expected_records:,} records came back",
        )
        database = self.client[DATABASE]
        there = compare_companions(beside, companions.state(database))
        self.teller.end(figures, [complete, *compare(before, fingerprint(database)), *there])

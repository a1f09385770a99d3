"""A repository as it is after years of backups, made in a minute: all its objects but the data.

Index objects, page trees, manifests, evidence and announced removals are real, sealed and signed with the keys of a
real repository. Packs of data have their length and nothing in it (files with holes), and are named by chance.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from drtool.repository.evidence import EVIDENCE, Evidence
from drtool.repository.levels import Level
from drtool.repository.repository import create
from drtool.repository.sealed import Kind
from drtool.storage.directory import DirectoryStorage
from tests.bench.daily import Taken, take_all
from tests.bench.shelving import Keys, Shelf

#: At scale 1: chunks of data (pages and range bounds come on top), and snapshots that retention kept.
CHUNKS, SNAPSHOTS = 1_000_000, 1_000
JOBS = ("billing", "orders", "search", "sessions")
#: One snapshot in so many was never verified; one in so many was also read, and one restored.
_NEVER, _READ, _RESTORED = 10, 7, 30
#: How old a snapshot was when retention removed it.
_REMOVED_AFTER = timedelta(days=235)


@dataclass(frozen=True, slots=True)
class Aged:
    """What is in the repository; ``chunks`` of all kinds, ``pages`` of them pages and stream lists."""

    chunks: int
    pages: int
    packs: int
    bytes: int
    snapshots: int
    removed: int


def age(directory: Path, scale: float) -> Aged:
    """Make `directory`, with keys, configuration and a repository of `CHUNKS` and `SNAPSHOTS` times `scale`.

    There is a job for each of `JOBS`; the newest snapshots are an hour old.
    """
    directory.mkdir(parents=True)
    root = directory / "repository"
    created = create(DirectoryStorage(root), "host1")
    keys = Keys(created.agent_key.to_text(), created.identity.to_file(""))
    _configure(directory, keys)
    chunks, snapshots = max(400, round(CHUNKS * scale / len(JOBS))), max(3, round(SNAPSHOTS * scale / len(JOBS)))
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    workers = min(len(JOBS), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        left = [
            task.result() for task in [pool.submit(take_all, root, keys, job, chunks, snapshots, last) for job in JOBS]
        ]
    taken = sorted((one for job in left for one in job.taken), key=lambda one: (one.at, one.job))
    shelf = Shelf(root, keys)
    _attest(shelf, [one for one in taken if not one.is_removed])
    _announce(shelf, [one for one in taken if one.is_removed], last)
    return Aged(
        sum(job.chunks for job in left),
        sum(job.pages for job in left),
        sum(job.packs for job in left),
        sum(job.bytes for job in left),
        sum(not one.is_removed for one in taken),
        sum(one.is_removed for one in taken),
    )


def _configure(directory: Path, keys: Keys) -> None:
    for name, text in (("agent.key", keys.agent_text), ("identity.key", keys.identity_text)):
        directory.joinpath(name).write_text(text, encoding="utf-8")
        directory.joinpath(name).chmod(0o600)
    sources = "".join(f"  {job}: {{type: mongodb, uri: 'mongodb://127.0.0.1:1/'}}\n" for job in JOBS)
    jobs = "".join(f"  {job}: {{sources: [{job}], retention: standard}}\n" for job in JOBS)
    directory.joinpath("drtool.yaml").write_text(
        "repository: {url: repository, agent_key: {file: agent.key}, identity: {file: identity.key},"
        f" state_dir: state, cache_dir: cache}}\nsources:\n{sources}jobs:\n{jobs}",
        encoding="utf-8",
    )


def _attest(shelf: Shelf, kept: Sequence[Taken]) -> None:
    """Evidence as backups and verification leave it."""
    agent, verifier = shelf.keys.agent.signing_key, shelf.keys.identity.verifier_key
    for number, one in enumerate(kept):
        levels = [] if number % _NEVER == 0 else [(Level.LISTED, agent)]
        levels += [(Level.READABLE, verifier)] if number % _READ == 1 else []
        levels += [(Level.RESTORED, verifier)] if number % _RESTORED == 1 else []
        for level, signer in levels:
            moment = one.at + timedelta(minutes=5 * level)
            shelf.put_record(Kind.EVIDENCE, EVIDENCE, asdict(_evidence(one, level, moment)), signer, moment)


def _evidence(one: Taken, level: Level, moment: datetime) -> Evidence:
    checked = {"objects": 1_000, "chunks": 100_000, "bytes": 10**10, "records": 10**8}
    proof = "identical" if level is Level.RESTORED else None
    return Evidence(
        one.id, one.hash, level.label, True, moment.isoformat(), "host1", "drtool", 1.0, checked, (), proof, 120.0
    )


def _announce(shelf: Shelf, removed: Sequence[Taken], last: datetime) -> None:
    """What retention removed, day by day."""
    repository, agent = shelf.keys.agent.repository.hex(), shelf.keys.agent.signing_key.public.hex()
    days: dict[datetime, list[Taken]] = defaultdict(list)
    for one in removed:
        days[min(one.at + _REMOVED_AFTER, last)].append(one)
    for moment, gone in sorted(days.items()):
        snapshots = [
            {
                "snapshot": one.id,
                "repository": repository,
                "signer": agent,
                "job": one.job,
                "number": one.number,
                "hash": one.hash,
            }
            for one in gone
        ]
        fields = {"at": moment.isoformat(), "host": "host1", "snapshots": snapshots, "segments": [], "evidence": []}
        shelf.put_record(Kind.REMOVAL, "removals/", fields, shelf.keys.identity.verifier_key, moment)

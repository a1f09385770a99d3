"""Everything that is done repeatedly: the jobs' backups, and ``schedules``."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drtool.config.jobs import Job, VerifyAfter
from drtool.config.root import Config
from drtool.config.schedules import TASKS, ScheduledTask
from drtool.config.timing import Repeated
from drtool.errors import UsageError
from drtool.scheduling.expressions import Schedule
from drtool.scheduling.ledger import unattended_directory


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is done repeatedly. ``name`` is a job's, for its backups, or a schedule's; ``job`` is empty where
    it is about none or several; ``jobs`` are those that it is about, none where it is about the repository."""

    name: str
    task: str
    job: str
    jobs: tuple[str, ...]
    schedule: Schedule
    settings: Repeated

    def arguments(self, turn: int) -> list[str]:
        """Of drtool, for the `turn`-th run, counted from 0."""
        if not isinstance(self.settings, ScheduledTask):
            return [*TASKS[self.task].command, self.job]
        return [*TASKS[self.task].command, *_options(self.settings, turn)]

    @property
    def identity(self) -> str:
        """Changes when it becomes another: then it begins anew."""
        return f"{self.task} {self.schedule.expression} {self.schedule.timezone or ''}".rstrip()


def entries_of(config: Config) -> list[Entry]:
    """What a configuration has drtool do repeatedly, jobs first, in the order of the file."""
    wants_jitter = any(one.jitter for one in (*config.jobs.values(), *config.schedules.values()))
    host = _host_id(config) if wants_jitter else ""
    backups = [
        Entry(name, "backup", name, (name,), _schedule(job, job.schedule, host, name), job)
        for name, job in config.jobs.items()
        if job.schedule is not None
    ]
    return backups + [_entry(config, name, one, host) for name, one in config.schedules.items()]


def _entry(config: Config, name: str, one: ScheduledTask, host: str) -> Entry:
    jobs = one.jobs or (tuple(config.jobs) if one.task == "backup" else ())
    job = one.jobs[0] if len(one.jobs) == 1 else ""
    return Entry(name, one.task, job, jobs, _schedule(one, one.schedule, host, name), one)


def named(entries: Iterable[Entry], names: Iterable[str]) -> list[Entry]:
    """Those of these names, each once; ``UsageError`` where one is not there."""
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            there = f"There are: {', '.join(known)}" if known else "Give a job a schedule, or write schedules."
            raise UsageError(f"nothing is scheduled as {name!r}", hint=there)
    return [known[name] for name in dict.fromkeys(names)]


def verification(snapshot: str, wanted: VerifyAfter) -> list[str]:
    """The arguments that verify a snapshot as its job has it."""
    sample = ["--sample", _percent(wanted.sample)] if wanted.sample is not None else []
    return [*TASKS["verify"].command, snapshot, "--level", wanted.level, *sample]


def _schedule(settings: Job | ScheduledTask, expression: str, host: str, name: str) -> Schedule:
    return Schedule(expression, settings.timezone, settings.jitter, f"{host} {name}")


def _options(settings: ScheduledTask, turn: int) -> list[str]:
    options: list[str] = []
    arguments: list[str] = []
    for name, option in TASKS[settings.task].options.items():
        value = getattr(settings, name)
        if not value:
            continue
        if not option:
            arguments += value
        elif name == "shares":
            options += [option, f"{turn % value + 1}/{value}"]
        else:
            options += [option, _percent(value) if name == "sample" else str(value)]
    return [*options, *arguments]


def _percent(share: float) -> str:
    return f"{share * 100:.10g}%"


def _host_id(config: Config) -> str:
    """A random word that this host keeps, so that its slots stay where they are; empty where it cannot."""
    directory = unattended_directory(config.repository.state_dir, config.repository.url)
    path = directory / "host"
    with contextlib.suppress(OSError):
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _put_once(path, secrets.token_hex(8))
        return path.read_text("ascii")
    return ""


def _put_once(path: Path, text: str) -> None:
    """Whole, and by the first of several that want to."""
    own = path.with_suffix(f".{os.getpid()}")
    own.write_text(text, "ascii")
    try:
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
    finally:
        own.unlink()

"""From a file to a checked `Config`, with every problem of the file in one error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from drtool.config.copies import CopySettings
from drtool.config.document import Document, parse
from drtool.config.environment import expand
from drtool.config.explaining import explain
from drtool.config.jobs import Job, Objectives, VerifyAfter
from drtool.config.limits import Limits
from drtool.config.log import LogSettings
from drtool.config.metrics import MetricsSettings
from drtool.config.notify import TARGETS
from drtool.config.paths import DIRECTORY
from drtool.config.places import find_config
from drtool.config.problems import KeyPath, Problem, dotted, nearest, refuse
from drtool.config.relations import SIDES, Relation
from drtool.config.repository import RepositorySettings
from drtool.config.root import Config
from drtool.config.rules import Rules
from drtool.config.schedules import ScheduledTask
from drtool.config.secrets import Secret
from drtool.config.sources import settings_model
from drtool.config.timing import Hooks, Ping
from drtool.errors import ConfigError


def load_config(path: Path | None = None) -> Config:
    """Find (`find_config`), read and check the configuration.

    ``ConfigError`` names file, line and key of every problem, one per line. Secrets that come from elsewhere are
    not fetched.
    """
    file = find_config(path)
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the configuration {file} is not text in UTF-8") from None
    return parse_config(text, file)


def parse_config(text: str, file: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration that `text` is, as if read from `file`; raises like `load_config`."""
    document = parse(text, lambda value, _key: expand(value, environment))
    if document.content is None and not document.problems:
        raise ConfigError(f"the configuration {file} is empty", hint="drtool init writes one with comments.")
    problems = list(document.problems)
    config: Config | None = None
    if document.content is not None:
        problems += _unknown_sources(document)
        problems += _unknown_in_relations(document)
        problems += _unknown_in_schedules(document)
        problems += _unclear_in_notify(document)
        config = _validated(document, file.absolute().parent, problems)
    if problems or config is None:
        raise refuse(str(file), problems)
    return _with_named_secrets(config).read_from(file.absolute(), text)


def _validated(document: Document, directory: Path, problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(document.content, context={DIRECTORY: directory})
    except ValidationError as error:
        already = {problem.key for problem in problems}
        problems += (problem for problem in explain(error, document, _model_at) if problem.key not in already)
        return None


def _model_at(key: KeyPath, content: Any) -> type[BaseModel] | None:
    match key:
        case ():
            return Config
        case ("repository",):
            return RepositorySettings
        case ("repository", "copies", int()):
            return CopySettings
        case ("limits",):
            return Limits
        case ("log",):
            return LogSettings
        case ("metrics",):
            return MetricsSettings
        case ("relations", int()):
            return Relation
        case ("jobs", str()):
            return Job
        case ("jobs", str(), "retention"):
            return Rules
        case ("jobs", str(), "verify"):
            return VerifyAfter
        case ("jobs", str(), "objectives"):
            return Objectives
        case ("schedules", str()):
            return ScheduledTask
        case ("jobs" | "schedules", str(), "hooks"):
            return Hooks
        case ("jobs" | "schedules", str(), "ping"):
            return Ping
        case ("notify", int(position)):
            return TARGETS[content["notify"][position]["type"]]
        case ("sources", str(name)):
            return settings_model(content["sources"][name]["type"])
    return None


def _unknown_sources(document: Document) -> list[Problem]:
    """Jobs that name sources which are not there; looked for in what the file says, so that it is found at once
    with everything else."""
    content = document.content
    sources, jobs = (content.get(part) if isinstance(content, dict) else None for part in ("sources", "jobs"))
    if not isinstance(sources, dict) or not isinstance(jobs, dict):
        return []
    problems = []
    for job, settings in jobs.items():
        names = settings.get("sources") if isinstance(settings, dict) else None
        for position, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and name not in sources:
                key: KeyPath = ("jobs", job, "sources", position)
                problems.append(Problem(document.line_of(key), key, f"no source '{name}'{nearest(name, sources)}"))
    return problems


def _unknown_in_relations(document: Document) -> list[Problem]:
    """Relations about sources that are not there, or that no job backs up together: nobody would ever check them."""
    content = document.content if isinstance(document.content, dict) else {}
    sources, jobs = (found if isinstance(found := content.get(part), dict) else {} for part in ("sources", "jobs"))
    relations = content.get("relations")
    together = [set(map(str, names)) for job in jobs.values() if isinstance(names := _sources_of(job), list)]
    problems = []
    for position, relation in enumerate(relations if isinstance(relations, list) else ()):
        named: dict[str, KeyPath] = {}
        for side in SIDES if isinstance(relation, dict) else ():
            if isinstance(relation.get(side), str):
                named[relation[side].partition(".")[0]] = ("relations", position, side)
        unknown = named.keys() - sources.keys()
        for name in unknown:
            problems.append(
                Problem(document.line_of(named[name]), named[name], f"no source '{name}'{nearest(name, sources)}")
            )
        if named and not unknown and not any(names.issuperset(named) for names in together):
            key: KeyPath = ("relations", position)
            problems.append(Problem(document.line_of(key), key, f"no job backs up {' and '.join(named)} together"))
    return problems


def _unknown_in_schedules(document: Document) -> list[Problem]:
    """Schedules about jobs and sources that are not there, or called like a job, whose runs theirs would be."""
    content = document.content if isinstance(document.content, dict) else {}
    schedules, jobs = (found if isinstance(found := content.get(part), dict) else {} for part in ("schedules", "jobs"))
    problems = []
    for name, settings in schedules.items():
        if name in jobs:
            own: KeyPath = ("schedules", name)
            problems.append(Problem(document.line_of(own), own, "there is a job of this name: choose another"))
        for part, word in (("jobs", "job"), ("sources", "source")):
            there = found if isinstance(found := content.get(part), dict) else {}
            named = settings.get(part) if isinstance(settings, dict) else None
            for position, one in enumerate(named if isinstance(named, list) else ()):
                if isinstance(one, str) and one not in there:
                    key: KeyPath = ("schedules", name, part, position)
                    problems.append(Problem(document.line_of(key), key, f"no {word} '{one}'{nearest(one, there)}"))
    return problems


def _unclear_in_notify(document: Document) -> list[Problem]:
    """Targets of one name, which nobody could tell apart later, and jobs that are not there."""
    content = document.content if isinstance(document.content, dict) else {}
    targets, jobs = content.get("notify"), found if isinstance(found := content.get("jobs"), dict) else {}
    problems, names = [], set[str]()
    for position, settings in enumerate(targets if isinstance(targets, list) else ()):
        if not isinstance(settings, dict):
            continue
        own: KeyPath = ("notify", position)
        name = str(settings.get("name") or settings.get("type"))
        if name in names:
            problems.append(Problem(document.line_of(own), own, f"there is another '{name}': give each a name"))
        names.add(name)
        for number, job in enumerate(named if isinstance(named := settings.get("jobs"), list) else ()):
            if isinstance(job, str) and job not in jobs:
                key: KeyPath = (*own, "jobs", number)
                problems.append(Problem(document.line_of(key), key, f"no job '{job}'{nearest(job, jobs)}"))
    return problems


def _sources_of(job: Any) -> Any:
    return job.get("sources") if isinstance(job, dict) else None


def _with_named_secrets(config: Config) -> Config:
    """Give each secret its place in the file as its name, for the errors of `Secret.reveal`."""
    named = {part: name_secrets(value, (part,)) for part, value in config}
    return config.model_copy(update=named)


def name_secrets(value: Any, key: KeyPath) -> Any:
    if isinstance(value, Secret):
        return value.named(dotted(key))
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: name_secrets(inner, (*key, name)) for name, inner in value})
    if isinstance(value, dict):
        return {name: name_secrets(inner, (*key, name)) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(name_secrets(inner, (*key, number)) for number, inner in enumerate(value))
    return value

"""What can still be made of a configuration that cannot be used as a whole: where its state lies, and whom to tell."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from drtool.config.document import Document, parse
from drtool.config.environment import expand
from drtool.config.limits import Limits
from drtool.config.loading import name_secrets
from drtool.config.log import LogSettings
from drtool.config.metrics import MetricsSettings
from drtool.config.notify import AnyTarget, TargetSettings
from drtool.config.paths import DIRECTORY
from drtool.config.problems import KeyPath
from drtool.config.repository import RepositorySettings
from drtool.config.root import Config

_KEY = "state_dir"
#: The key and the rest of its line, in either style of YAML.
_LINE = re.compile(rf"(?P<before>^[ \t]*|[{{,][ \t]*){_KEY}:(?P<rest>[ \t].*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rescued:
    """``config`` has no sources and no jobs: it says where state lies and whom to tell, and nothing can be run by it.
    ``left_out`` are sentences on who cannot be told."""

    config: Config
    left_out: tuple[str, ...]


def state_dir_in(text: str, file: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The ``repository.state_dir`` that a broken file names, as far as that can be told; None where it names none."""
    content, _ = _read(text, environment)
    repository = content.get("repository") if isinstance(content, dict) else None
    if content is None:
        repository = _of_line(text, environment)
    named = repository.get(_KEY) if isinstance(repository, dict) else None
    if not isinstance(named, str) or not named:
        return None
    try:
        return Path(os.path.normpath(file.absolute().parent / Path(named).expanduser()))
    except RuntimeError:  # no such user
        return None


def rescued(
    text: str, file: Path, repository: RepositorySettings, environment: Mapping[str, str] = os.environ
) -> Rescued:
    """Whom the text of a configuration tells: each target by itself, so that one that lacks something (an environment
    variable, say) silences no other. `repository` is taken as it is."""
    content, unset = _read(text, environment)
    listed = content.get("notify") if isinstance(content, dict) else None
    context = {DIRECTORY: file.absolute().parent}
    targets: list[TargetSettings] = []
    left_out = []
    for position, settings in enumerate(listed if isinstance(listed, list) else ()):
        key: KeyPath = ("notify", position)
        try:
            if why := next((why for place, why in unset.items() if place[:2] == key), ""):
                raise ValueError(why)
            target = TypeAdapter[TargetSettings](AnyTarget).validate_python(settings, context=context)
            targets.append(name_secrets(target, key))
        except ValidationError:
            left_out.append(f"notification target {_label(settings)} cannot be told: its settings are not valid")
        except ValueError as error:
            left_out.append(f"notification target {_label(settings)} cannot be told: {error}")
    config = Config.model_construct(
        repository=repository,
        sources={},
        jobs={},
        relations=(),
        schedules={},
        notify=tuple(targets),
        limits=Limits(),
        log=LogSettings(),
        metrics=_metrics(content, context),
    )
    return Rescued(config.read_from(file.absolute(), text), tuple(left_out))


def _of_line(text: str, environment: Mapping[str, str]) -> Any:
    """What the first line with the key says, where the file as a whole is no YAML."""
    found = _LINE.search(text)
    if found is None:
        return None
    if not found["before"].strip():
        return _read(f"{_KEY}:{found['rest']}", environment)[0]
    # Within braces it ends at one of these, but not at those in quotes: then the rest is no YAML.
    for end in re.finditer(r"[,}]|$", found["rest"]):
        content, _ = _read(f"{{{_KEY}:{found['rest'][: end.start()]}\n}}", environment)
        if content is not None:
            return content
    return None


def _read(text: str, environment: Mapping[str, str]) -> tuple[Any, dict[KeyPath, str]]:
    """The content with its variables filled in, and the places where that was not possible, with the reason."""
    unset: dict[KeyPath, str] = {}

    def fill_in(value: str, key: KeyPath) -> str:
        try:
            return expand(value, environment)
        except ValueError as error:
            unset[key] = str(error)
            return ""

    document: Document = parse(text, fill_in)
    return document.content, unset


def _metrics(content: Any, context: Mapping[str, Path]) -> MetricsSettings | None:
    settings = content.get("metrics") if isinstance(content, dict) else None
    try:
        return None if settings is None else MetricsSettings.model_validate(settings, context=context)
    except ValidationError:
        return None


def _label(settings: Any) -> str:
    named = settings if isinstance(settings, dict) else {}
    return str(named.get("name") or named.get("type") or "without a name")

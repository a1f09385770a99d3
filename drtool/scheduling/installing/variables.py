"""What drtool takes from its environment: a shell has it, cron and systemd do not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from drtool.config.loading import parse_config
from drtool.config.root import Config
from drtool.config.secrets import Secret
from drtool.errors import ConfigError, InstallationError

#: Where things are and how they are called: no secrets, and handed on as they are in this shell.
_SETTINGS = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "DRTOOL_MONGOD", "DRTOOL_REDIS_SERVER", "SSL_CERT_FILE", "PGPASSFILE")
_AWS_SETTINGS = (
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)
#: Looked at by libraries without being asked to; secrets, or with secrets in them.
_AMBIENT = ("https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy", "NO_PROXY", "PGPASSWORD")
_AWS_AMBIENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SESSION = "AWS_SESSION_TOKEN"
#: The key that reads data back: not needed to take a backup, and not to lie about.
IDENTITY = "repository.identity"
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=")


@dataclass(frozen=True, slots=True)
class Variables:
    """``settings`` are handed on with their values. ``needed`` are the names that the configuration cannot do without,
    ``ambient`` names that are set here and may be needed; ``temporary`` is true where the store's credentials will
    expire.
    """

    settings: Mapping[str, str]
    needed: tuple[str, ...]
    ambient: tuple[str, ...]
    temporary: bool


def variables_of(config: Config, environment: Mapping[str, str] = os.environ) -> Variables:
    """What the configuration, read anew, and the libraries take from `environment`."""
    in_bucket = any(
        url.startswith("s3://") for url in (config.repository.url, *(one.url for one in config.repository.copies))
    )
    temporary = in_bucket and _SESSION in environment
    settings = (*_SETTINGS, *(_AWS_SETTINGS if in_bucket else ()))
    ambient = (*_AMBIENT, *(_AWS_AMBIENT if in_bucket and not temporary else ()))
    needed = needed_by(config, environment)
    return Variables(
        {name: environment[name] for name in settings if environment.get(name)},
        needed,
        tuple(name for name in ambient if environment.get(name) and name not in needed),
        temporary,
    )


def needed_by(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the variables that are set and named in the configuration's text, and of those with its secrets."""
    seen = _Seen(environment)
    parse_config(text_of(config.path), config.path, seen)
    secrets = {one.variable for one in secrets_of(config) if one.variable and one.key != IDENTITY}
    return tuple(sorted({*(name for name in seen.names if environment.get(name)), *secrets}))


def text_of(path: Path) -> str:
    """The configuration as it is written; ``ConfigError`` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error


def secrets_of(value: Any) -> Iterator[Secret]:
    """The secrets in a configuration, or a part of one."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from secrets_of(inner)
    elif isinstance(value, Mapping):
        yield from secrets_of(tuple(value.values()))
    elif isinstance(value, tuple):
        for inner in value:
            yield from secrets_of(inner)


def names_in(env_file: Path) -> set[str]:
    """The variables that a file of ``NAME=value`` lines sets; ``InstallationError`` where it cannot be read."""
    try:
        lines = env_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InstallationError(f"cannot read {env_file}: {error}") from error
    return {match[1] for line in lines if (match := _ASSIGNMENT.match(line))}


def as_file(names: Iterable[str], environment: Mapping[str, str]) -> str:
    """Lines ``NAME=value`` that a shell and systemd's EnvironmentFile= read alike."""
    lines = [f"{name}={_value(environment[name])}\n" for name in names]
    return "".join(
        ["# What drtool needs from its environment. Keep it to yourself: there are secrets in it.\n", *lines]
    )


def _value(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'([\\"`$])', r"\\\1", text) + '"'


class _Seen(Mapping[str, str]):
    """An environment that remembers which of it was asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)

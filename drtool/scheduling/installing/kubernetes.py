"""Manifests for a cluster: printed, never applied."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

import drtool
from drtool.config.document import parse
from drtool.config.environment import expand
from drtool.config.loading import parse_config
from drtool.config.masking import Masker
from drtool.config.places import cache_home, state_home
from drtool.config.problems import KeyPath
from drtool.config.root import Config
from drtool.config.secrets import Origin
from drtool.errors import ConfigError, UsageError
from drtool.scheduling.installing.rhythm import Rhythm
from drtool.scheduling.installing.templates import filled
from drtool.scheduling.installing.variables import IDENTITY, needed_by, secrets_of, text_of
from drtool.scheduling.installing.writable import stores_of

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
_DIRECTORY = Path("/etc/drtool")
#: What of a pod can be written to, by cron/kubernetes.yaml.
_VOLUMES = (Path("/var/lib/drtool/state"), Path("/var/lib/drtool/cache"), Path("/tmp"))  # noqa: S108 - the pod's own
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_MIB = 2**20
#: Beside what the configuration allows a backup: a sandbox's server, hooks.
_ROOM = 768 * _MIB


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the objects are called and where they live. ``secret`` is the operator's own."""

    name: str = "drtool"
    namespace: str = "default"
    secret: str = "drtool"  # noqa: S105 - a name
    image: str = f"drtool:{drtool.__version__}"

    def __post_init__(self) -> None:
        for option, value in (("name", self.name), ("namespace", self.namespace), ("secret", self.secret)):
            if not _NAME.fullmatch(value):
                raise UsageError(f"--{option}: {value!r} is no name in a cluster: a-z, 0-9 and -, at most 42")


@dataclass(frozen=True, slots=True)
class Manifests:
    """``text`` is YAML; ``asked`` are the keys that the Secret must have; ``warnings`` are sentences."""

    text: str
    asked: tuple[str, ...]
    warnings: tuple[str, ...]


def manifests(
    config: Config, rhythm: Rhythm, cluster: Cluster, environment: Mapping[str, str] = os.environ
) -> Manifests:
    """One CronJob that calls drtool, and what it needs beside the Secret.

    ``ConfigError`` where the configuration holds secrets itself (anybody may read a ConfigMap) or cannot be read where
    it lies in a pod; ``UsageError`` for a repository in a directory.
    """
    if "://" not in config.repository.url:
        raise UsageError(
            "the repository is a directory, and a pod has none that stays",
            hint="Use a bucket: s3://BUCKET/PREFIX.",
        )
    text = text_of(config.path).replace("\r\n", "\n")
    inside = parse_config(text, _DIRECTORY / "drtool.yaml", environment)
    _require_no_secrets(config, text, environment)
    keys, elsewhere = _files(inside)
    variables = needed_by(config, environment)
    optional = [name for name in _CREDENTIALS if name not in variables]
    values = {
        "NAME": cluster.name,
        "NAMESPACE": cluster.namespace,
        "SECRET": cluster.secret,
        "SECRET_EXAMPLE": "".join(_examples(variables, keys)),
        "CONFIG_TEXT": scalar(text),
        "RHYTHM": json.dumps(rhythm.cron),
        "IMAGE": json.dumps(cluster.image),
        "VARIABLES": "\n".join(
            [_variable(one, cluster.secret) for one in variables]
            + [_variable(one, cluster.secret, optional=True) for one in optional]
        ),
        "MEMORY_REQUEST": f"{_mebibytes(config.limits.memory)}Mi",
        "MEMORY_LIMIT": f"{_mebibytes(config.limits.memory + _ROOM)}Mi",
        "SECRET_FILES": _projection(cluster.secret, keys),
    }
    return Manifests(filled("kubernetes.yaml", values), (*variables, *keys), tuple(_warnings(inside, elsewhere)))


def _require_no_secrets(config: Config, text: str, environment: Mapping[str, str]) -> None:
    given = {secret.reveal(): secret for secret in secrets_of(config) if secret.origin is Origin.TEXT}

    def look(written: str, _key: KeyPath) -> str:
        value = expand(written, environment)
        if secret := given.get(value):
            masker = Masker()
            masker.add(value)
            if masker.mask(written) != written:
                raise ConfigError(
                    f"{secret.key}: the secret stands in the configuration itself, and a ConfigMap is no place for it",
                    hint='Write "${NAME}" or {env: NAME}; the manifests then take it from the Secret.',
                )
        return value

    parse(text, look)


def _files(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the secrets that come from files: names in the configuration's directory, and settings with one elsewhere."""
    keys: set[str] = set()
    elsewhere: set[str] = set()
    for secret in secrets_of(config):
        if secret.path is not None:
            is_here = secret.path.parent == _DIRECTORY and secret.key != IDENTITY
            (keys if is_here else elsewhere).add(secret.path.name if is_here else secret.key)
    return tuple(sorted(keys)), tuple(sorted(elsewhere))


def _warnings(config: Config, elsewhere: tuple[str, ...]) -> Iterator[str]:
    if elsewhere:
        yield f"not in the manifests: the files of {', '.join(elsewhere)}"
    local = [name for name, source in config.sources.items() if source.type == "files" or list(stores_of([source]))]
    if local:
        yield f"a pod has none of this host's files: give it a volume for {', '.join(local)}"
    if outside := [f"{key} ({path})" for key, path in _written(config) if not any(map(path.is_relative_to, _VOLUMES))]:
        yield f"a pod cannot write there: {', '.join(outside)}; give it volumes for that, or leave the settings out"


def _written(config: Config) -> Iterator[tuple[str, Path]]:
    """What the configuration itself says to write to: without a word, state and cache lie on volumes."""
    repository = config.repository
    if repository.state_dir != state_home():
        yield "repository.state_dir", repository.state_dir
    if repository.cache_dir != cache_home():
        yield "repository.cache_dir", repository.cache_dir
    for number, copy in enumerate(repository.copies):
        if "://" not in copy.url:
            yield f"repository.copies[{number}]", Path(copy.url)
    if config.metrics is not None:
        yield "metrics.textfile", config.metrics.textfile
    if config.log.file is not None:
        yield "log.file", config.log.file


def _examples(variables: tuple[str, ...], keys: tuple[str, ...]) -> Iterator[str]:
    for name in variables:
        yield f" \\\n#     --from-literal {name}=…"
    for name in keys:
        yield f" \\\n#     --from-file {name}"


def _variable(name: str, secret: str, *, optional: bool = False) -> str:
    end = ", optional: true" if optional else ""
    return f"- name: {name}\n  valueFrom: {{secretKeyRef: {{name: {secret}, key: {name}{end}}}}}"


def _projection(secret: str, keys: tuple[str, ...]) -> str:
    if not keys:
        return ""
    items = ", ".join(f"{{key: {json.dumps(key)}, path: {json.dumps(key)}}}" for key in keys)
    return f"- secret:\n    name: {secret}\n    items: [{items}]"


def _mebibytes(size: int) -> int:
    return -(-size // _MIB)


def scalar(text: str) -> str:
    """`text` as a YAML scalar: a literal block, which stays readable, where that gives it back."""
    keep = "+" if text.endswith("\n\n") or not text.strip() else "" if text.endswith("\n") else "-"
    block = "\n".join([f"|2{keep}", *(f"  {line}" if line else "" for line in text.removesuffix("\n").split("\n"))])
    try:
        if yaml.safe_load(f"a: {block}\nb: 1\n") == {"a": text, "b": 1}:
            return block
    except yaml.YAMLError:
        pass
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()

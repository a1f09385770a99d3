"""Secrets: given in place, or fetched from a file, a command or the environment when they are needed.

A secret's value is in no representation, no serialised form and no error text.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from drtool.config.masking import MASKER
from drtool.config.paths import resolve
from drtool.errors import ConfigError

COMMAND_SECONDS = 30.0
"""How long a command may take to print a secret."""


class Origin(Enum):
    """Where a secret comes from."""

    TEXT = "text"
    FILE = "file"
    COMMAND = "command"
    ENV = "env"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret value and where it comes from; `reveal` fetches it.

    ``key`` is its place in the configuration, for error texts; ``directory`` is where a command runs.
    """

    origin: Origin
    _value: str | tuple[str, ...]
    key: str = field(default="secret", compare=False)
    directory: Path = field(default_factory=Path.cwd, compare=False)

    def __post_init__(self) -> None:
        # At once, not when it is fetched: what a hook prints before the first source is opened is masked, too.
        if self.origin is Origin.TEXT:
            MASKER.add(self._text)
        elif self.origin is Origin.ENV:
            MASKER.add(os.environ.get(self._text, ""))

    @classmethod
    def of(cls, text: str, *, key: str = "secret") -> Secret:
        """A secret given in place."""
        return cls(Origin.TEXT, text, key)

    def __repr__(self) -> str:
        return f"Secret({self.key}, from {self.origin.value})"

    __str__ = __repr__

    @property
    def path(self) -> Path | None:
        """The file it comes from, if it does."""
        return Path(self._text) if self.origin is Origin.FILE else None

    @property
    def variable(self) -> str | None:
        """The environment variable it comes from, if it does."""
        return self._text if self.origin is Origin.ENV else None

    def named(self, key: str) -> Secret:
        """The same secret under another name."""
        return replace(self, key=key)

    def reveal(self) -> str:
        """The value, without one newline at its end. ``ConfigError``, which names the key, where it cannot be had."""
        match self.origin:
            case Origin.TEXT:
                MASKER.add(self._text)
                return self._text
            case Origin.FILE:
                value = self._read_file()
            case Origin.COMMAND:
                value = self._run_command()
            case Origin.ENV:
                value = self._read_environment()
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            raise ConfigError(f"{self.key}: the {self.origin.value} gives nothing")
        MASKER.add(value)
        return value

    @property
    def _text(self) -> str:
        assert isinstance(self._value, str)
        return self._value

    def _read_file(self) -> str:
        try:
            return Path(self._text).read_text("utf-8")
        except OSError as error:
            raise ConfigError(
                f"{self.key}: cannot read {self._text}: {error.strerror}",
                hint="A relative path belongs to the configuration's directory; check who may read the file.",
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{self.key}: {self._text} is not text in UTF-8") from None

    def _read_environment(self) -> str:
        try:
            return os.environ[self._text]
        except KeyError:
            raise ConfigError(f"{self.key}: environment variable {self._text} is not set") from None

    def _run_command(self) -> str:
        try:
            done = subprocess.run(
                list(self._value),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=COMMAND_SECONDS,
                check=True,
                cwd=self.directory,
            )
            return done.stdout.decode("utf-8")
        except subprocess.TimeoutExpired:
            raise ConfigError(f"{self.key}: the command did not end within {COMMAND_SECONDS:g} s") from None
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                f"{self.key}: the command failed with exit code {error.returncode}",
                hint="What it wrote to its standard error stands above.",
            ) from None
        except OSError as error:
            raise ConfigError(f"{self.key}: the command cannot be started: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{self.key}: the command's output is not text in UTF-8") from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validate, serialization=core_schema.plain_serializer_function_ser_schema(repr)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, *_INDIRECT_SCHEMAS]}


def learn(value: object) -> None:
    """Have the mask know the secrets in a configuration that lie in files, as far as those can be read: what is printed
    by a hook, say, before anybody needs them. Commands are not run for that."""
    match value:
        case Secret():
            with contextlib.suppress(ConfigError, OSError):
                # Not from a pipe: what is read there once is gone.
                if value.path is not None and value.path.is_file():
                    value.reveal()
        case BaseModel():
            learn([inner for _, inner in value])
        case Mapping():
            learn(list(value.values()))
        case list() | tuple():
            for inner in value:
                learn(inner)


def _validate(value: Any, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return _non_empty(Origin.TEXT, value, info)
    if isinstance(value, Mapping) and len(value) == 1:
        [(kind, inner)] = value.items()
        if kind == "command" and isinstance(inner, list):
            return _command(inner, info)
        if kind in ("file", "command", "env") and isinstance(inner, str):
            return _non_empty(Origin(kind), inner, info)
    raise ValueError("must be text, {file: PATH}, {command: COMMAND} or {env: NAME}")


def _non_empty(origin: Origin, text: str, info: ValidationInfo) -> Secret:
    if not text:
        raise ValueError("is empty")
    if origin is Origin.COMMAND:
        try:
            return _command(shlex.split(text), info)
        except ValueError:  # shlex's sentence is about quotation; the text itself may hold the secret
            raise ValueError("the command's quotation marks do not match") from None
    if origin is Origin.FILE:
        return Secret(origin, str(resolve(text, info)))
    return Secret(origin, text)


def _command(words: list[Any], info: ValidationInfo) -> Secret:
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError("the command must be text, or a list of text")
    return Secret(Origin.COMMAND, tuple(words), directory=resolve(".", info))


def _not_in_place(secret: Secret) -> Secret:
    if secret.origin is Origin.TEXT:
        raise ValueError(
            "a key does not belong in the configuration itself; write {file: PATH}, {command: …} or {env: NAME}"
        )
    return secret


_INDIRECT_SCHEMAS: list[JsonSchemaValue] = [
    {"type": "object", "properties": {kind: value}, "required": [kind], "additionalProperties": False}
    for kind, value in (
        ("file", {"type": "string"}),
        ("command", {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
        ("env", {"type": "string"}),
    )
]

KeySecret = Annotated[Secret, AfterValidator(_not_in_place), WithJsonSchema({"anyOf": _INDIRECT_SCHEMAS})]
"""A secret that must not be given in place: a private key."""

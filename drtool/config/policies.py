"""Retention policies by name or path: those that come with drtool, and the operator's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from drtool.config.document import Document, parse
from drtool.config.explaining import explain
from drtool.config.model import NAME_PATTERN
from drtool.config.paths import DIRECTORY, resolve
from drtool.config.problems import KeyPath, Problem, nearest, refuse
from drtool.config.rules import Rules
from drtool.config.shipped import shipped_folder
from drtool.errors import ConfigError

FOLDER = "retention"
_SUFFIX = ".yaml"
IN_PLACE = "in place"


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules and what they are called; ``path`` is None where they stand in the configuration.

    In a configuration: the name of one, the path of one, or rules in place.
    """

    name: str
    rules: Rules
    path: Path | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _given, serialization=core_schema.plain_serializer_function_ser_schema(lambda policy: policy.name)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "examples": ["standard"]}, Rules.model_json_schema()]}


def shipped() -> dict[str, Path]:
    """The policies that come with drtool, by name: in the installed package, else beside it in the checkout."""
    return {path.stem: path for path in sorted(shipped_folder(FOLDER).glob(f"*{_SUFFIX}"))}


def available(directory: Path) -> dict[str, Path]:
    """The policies that a name stands for, with those of ``retention/`` below `directory`, which come first."""
    own = {path.stem: path for path in sorted((directory / FOLDER).glob(f"*{_SUFFIX}")) if path.is_file()}
    return shipped() | {name: path for name, path in own.items() if re.fullmatch(NAME_PATTERN, name)}


def find_policy(text: str, directory: Path) -> Policy:
    """The policy of a name (``retention/NAME.yaml`` below `directory`, else a shipped one) or of a path.

    ``ConfigError`` names file, line and key of every problem.
    """
    if not re.fullmatch(NAME_PATTERN, text):
        return read_policy(directory / Path(text).expanduser())
    there = available(directory)
    if text not in there:
        raise ConfigError(
            f"no policy '{text}'{nearest(text, there)}",
            hint=f"There are {', '.join(sorted(there))}; the path of a file with rules will do as well.",
        )
    return read_policy(there[text])


def read_policy(path: Path) -> Policy:
    """The policy in a file, called like the file; errors as for `find_policy`."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the policy {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the policy {path} is not text in UTF-8") from None
    document = parse(text, lambda value, _key: value)
    problems = list(document.problems)
    rules = _rules(document, problems)
    if problems or rules is None:
        raise refuse(str(path), problems)
    return Policy(path.stem, rules, path)


def _rules(document: Document, problems: list[Problem]) -> Rules | None:
    try:
        return Rules.model_validate({} if document.content is None else document.content)
    except ValidationError as error:
        problems += explain(error, document, _model_at)
        return None


def _model_at(key: KeyPath, content: Any) -> type[BaseModel] | None:
    del content  # there is one mapping only
    return Rules if key == () else None


def _given(value: Any, info: ValidationInfo) -> Policy:
    if isinstance(value, Policy):
        return value
    if not isinstance(value, str):
        return Policy(IN_PLACE, Rules.model_validate(value))
    directory = (info.context or {}).get(DIRECTORY, Path.cwd())
    try:
        return find_policy(value if re.fullmatch(NAME_PATTERN, value) else str(resolve(value, info)), directory)
    except ConfigError as error:
        raise ValueError("; ".join(error.message.splitlines())) from None

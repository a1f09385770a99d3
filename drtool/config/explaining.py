"""Pydantic's findings as problems: in the file's terms, with lines, and without the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drtool.config.document import Document
from drtool.config.jobs import Job
from drtool.config.limits import Limits
from drtool.config.problems import KeyPath, Problem, nearest
from drtool.config.repository import RepositorySettings
from drtool.config.root import Config
from drtool.config.sources import settings_model

_MESSAGES = {
    "missing": "is required",
    "string_type": "must be text; put it in quotes",
    "path_type": "must be text; put it in quotes",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "too_short": "needs at least {min_length} entry",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def explain(error: ValidationError, document: Document) -> Iterator[Problem]:
    """One problem for each finding."""
    for finding in error.errors(include_url=False, include_input=False):
        key = finding["loc"]
        shown = key if finding["type"] in ("missing", "source_type") else document.known_part(key)
        yield Problem(document.line_of(key), shown, _message(finding, key, document))


def _message(finding: ErrorDetails, key: KeyPath, document: Document) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "extra_forbidden":
        model = _model_at(key[:-1], document.content)
        return "unknown key" + (nearest(str(key[-1]), model.model_fields) if model else "")
    if kind == "value_error":
        return str(context["error"])
    if kind in _MESSAGES:
        return _MESSAGES[kind].format(**context)
    return finding["msg"]


def _model_at(key: KeyPath, content: Any) -> type[BaseModel] | None:
    """The model of the mapping at `key`, where it is one of ours."""
    match key:
        case ():
            return Config
        case ("repository",):
            return RepositorySettings
        case ("limits",):
            return Limits
        case ("jobs", str()):
            return Job
        case ("sources", str(name)):
            return settings_model(content["sources"][name]["type"])
    return None

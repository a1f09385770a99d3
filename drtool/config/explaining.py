"""Pydantic's findings as problems: in the file's terms, with lines, and without the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drtool.config.document import Document
from drtool.config.problems import KeyPath, Problem, nearest

ModelAt = Callable[[KeyPath, Any], type[BaseModel] | None]
"""The model of the mapping at a place of a file with this content, where it is one of ours."""

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


def explain(error: ValidationError, document: Document, model_at: ModelAt) -> Iterator[Problem]:
    """One problem for each finding."""
    for finding in error.errors(include_url=False, include_input=False):
        key = finding["loc"]
        shown = key if finding["type"] in ("missing", "source_type", "target_type") else document.known_part(key)
        yield Problem(document.line_of(key), shown, _message(finding, key, document, model_at))


def _message(finding: ErrorDetails, key: KeyPath, document: Document, model_at: ModelAt) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "extra_forbidden":
        model = model_at(key[:-1], document.content)
        return "unknown key" + (nearest(str(key[-1]), _keys(model)) if model else "")
    if kind == "value_error":
        return str(context["error"])
    if kind in _MESSAGES:
        return _MESSAGES[kind].format(**context)
    return finding["msg"]


def _keys(model: type[BaseModel]) -> list[str]:
    """What a model's fields are called in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]

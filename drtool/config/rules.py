"""The rules of a retention policy: what a policy file holds, or ``jobs.NAME.retention`` in place."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from drtool.config.model import Model, no_truth_value
from drtool.config.spans import Span

UNLIMITED = -1
_WORD = "unlimited"
#: How many tags a snapshot may have.
MOST_TAGS = 20


def _count(value: Any) -> Any:
    if value == _WORD:
        return UNLIMITED
    if isinstance(no_truth_value(value), int) and value < UNLIMITED:
        raise ValueError(f"must be 0 or more, or {UNLIMITED} ({_WORD})")
    return value


Count = Annotated[
    int, BeforeValidator(_count), WithJsonSchema({"anyOf": [{"type": "integer", "minimum": -1}, {"const": _WORD}]})
]
"""How many to keep; 0 for none, -1 without limit."""


def _tag_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def check_tag(tag: str) -> str:
    """The tag; ``ValueError`` where it is none: empty, too long, or with white space or a comma in it."""
    if not tag or len(tag) > 100 or "," in tag or not tag.isprintable() or any(c.isspace() for c in tag):
        raise ValueError("a tag is a word of at most 100 characters, without commas")
    return tag


_Tags = Annotated[
    tuple[str, ...],
    BeforeValidator(_tag_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Rules(Model):
    """What to keep; a snapshot that any rule keeps stays. The meaning of each is that of restic's ``forget``."""

    last: Count = Field(default=0, description="The newest so many.")
    hourly: Count = Field(default=0, description="The newest of each of so many hours that have one.")
    daily: Count = Field(default=0, description="The newest of each of so many days that have one.")
    weekly: Count = Field(default=0, description="The newest of each of so many ISO weeks that have one.")
    monthly: Count = Field(default=0, description="The newest of each of so many months that have one.")
    yearly: Count = Field(default=0, description="The newest of each of so many years that have one.")
    within: Span | None = Field(default=None, description="All that are not so much older than the newest one.")
    within_hourly: Span | None = Field(default=None, description="Of those within this time, one of each hour.")
    within_daily: Span | None = Field(default=None, description="Of those within this time, one of each day.")
    within_weekly: Span | None = Field(default=None, description="Of those within this time, one of each ISO week.")
    within_monthly: Span | None = Field(default=None, description="Of those within this time, one of each month.")
    within_yearly: Span | None = Field(default=None, description="Of those within this time, one of each year.")
    tags: tuple[_Tags, ...] = Field(
        default=(), description="Those with a tag of the list; an entry that is itself a list wants all of its tags."
    )

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, lists: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if not all(lists):
            raise ValueError("an empty list of tags would keep everything")
        return tuple(tuple(check_tag(tag) for tag in one) for one in lists)

    @model_validator(mode="after")
    def _keeps_something(self) -> Rules:
        if not any(value for _, value in self):
            raise ValueError("keeps nothing: give at least one rule, such as last: 7 or within: 30d")
        return self

    def summary(self) -> str:
        """The rules that are set, on one line."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self if value)


def _shown(value: object) -> str:
    match value:
        case -1:
            return _WORD
        case int() | Span():
            return str(value)
        case tuple():
            return " or ".join("+".join(one) for one in value)
    raise AssertionError(value)

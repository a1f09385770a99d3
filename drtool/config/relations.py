"""``relations``: what must hold between the streams of a snapshot, checked when it is verified by a trial restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from drtool.config.model import Model, parse_percent


@dataclass(frozen=True, slots=True)
class Slack:
    """How many may not fit: so many, or a share (0 to 1) of those looked at."""

    number: int = 0
    share: float = 0.0

    def of(self, checked: int) -> int:
        """How many of `checked` may not fit."""
        return max(self.number, int(self.share * checked))


def _slack(value: object) -> Slack:
    if isinstance(value, Slack):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Slack(number=value)
    try:
        return Slack(share=parse_percent(value))
    except ValueError:
        raise ValueError("must be a number of records, or a percentage of them such as 0.1%") from None


def _path(text: str) -> str:
    if not all(text.split(".")) or "." not in text:
        raise ValueError("must be a source, a stream and a field, with dots: app.shop.orders.customer")
    return text


Path = Annotated[str, AfterValidator(_path)]
"""``source.stream.field``; the names of streams and fields may have dots in them."""

Reading = Literal["string", "int", "float", "objectid", "uuid", "datetime"]
"""What the values of one side are read as."""

_FORMS = (("every", "exists_in"), ("count", "equals"), ("one_to_one", "with"))
#: The keys that hold a path.
SIDES = tuple(key for form in _FORMS for key in form)


class Relation(Model):
    """One of three: every value of a field exists in another; two streams have equally many records; two fields have
    the same values, each once."""

    every: Path | None = Field(default=None, description="A field whose every value must exist in another (exists_in).")
    exists_in: Path | None = Field(default=None, description="Where the values of `every` must exist.")
    count: Path | None = Field(default=None, description="A stream that must have as many records as another (equals).")
    equals: Path | None = Field(default=None, description="The stream that `count` is compared with.")
    one_to_one: Path | None = Field(
        default=None, description="A field whose values must be those of another (with), each once on both sides."
    )
    with_: Path | None = Field(default=None, alias="with", description="The field that `one_to_one` is compared with.")
    as_: Reading | None = Field(
        default=None,
        alias="as",
        description="What the values of `every` or `one_to_one` are read as, where they are of another type than those"
        " they are looked for among.",
    )
    optional: bool = Field(default=False, description="Whether records may lack the field of `every` or `one_to_one`.")
    slack: Annotated[
        Slack,
        BeforeValidator(_slack),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}], "examples": [5, "0.1%"]}),
    ] = Field(
        default=Slack(),
        description="How many may not fit, as a number or a percentage: the sources' instants lie a little apart.",
        json_schema_extra={"default": 0},
    )
    name: str | None = Field(default=None, min_length=1, description="What it is called in reports.")

    @model_validator(mode="after")
    def _of_one_form(self) -> Relation:
        given = {key for key in SIDES if self._value(key) is not None}
        if given not in [set(form) for form in _FORMS]:
            told = ", or ".join(f"{one} and {other}" for one, other in _FORMS)
            raise ValueError(f"needs {told}: one of these pairs, and whole")
        if "count" in given and (self.as_ is not None or self.optional):
            raise ValueError("compares numbers of records: as and optional say nothing about them")
        return self

    @property
    def form(self) -> str:
        """``every``, ``count`` or ``one_to_one``: the key of the left side."""
        return next(form[0] for form in _FORMS if self._value(form[0]) is not None)

    @property
    def left(self) -> str:
        """The path of the first side."""
        return str(self._value(self.form))

    @property
    def right(self) -> str:
        """The path of the second side."""
        return str(self._value(dict(_FORMS)[self.form]))

    @property
    def title(self) -> str:
        """Its name, or else what it says."""
        words = {"every": "every {} exists in {}", "count": "{} and {} have equally many records"}
        return self.name or words.get(self.form, "{} and {} are one to one").format(self.left, self.right)

    @property
    def sources(self) -> frozenset[str]:
        """The names of the sources that it is about."""
        return frozenset(path.partition(".")[0] for path in (self.left, self.right))

    def _value(self, key: str) -> Any:
        return getattr(self, "with_" if key == "with" else key)

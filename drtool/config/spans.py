"""Lengths of time in the calendar's own units, for retention: ``1y5m7d2h`` (``m`` is months)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_PART = r"(\d{1,6})([ymdh])"
_EPOCH = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """Years, months, days and hours; each at least 0."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def before(self, moment: datetime) -> datetime:
        """The moment that lies so long before, in the moment's own UTC offset; no earlier than the year 1.

        A day that the month reached lacks counts on into the next one, as Go's ``Time.AddDate`` has it: a month before
        31 March is 3 March (31 February), or 2 March in a leap year.
        """
        years, month = divmod(moment.year * 12 + moment.month - 1 - self.years * 12 - self.months, 12)
        if years < 1:
            return _EPOCH
        try:
            first = moment.replace(year=years, month=month + 1, day=1)
            return first + timedelta(days=moment.day - 1 - self.days) - timedelta(hours=self.hours)
        except OverflowError:
            return _EPOCH

    def __str__(self) -> str:
        parts = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0h"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _given, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "examples": ["30d", "1y6m"]}


def parse_span(text: object) -> Span:
    """A span from its text; ``ValueError`` otherwise, also for one of no length. Each unit may be given once."""
    parts = re.findall(_PART, text) if isinstance(text, str) and re.fullmatch(f"(?:{_PART})+", text) else []
    counts = {unit: int(count) for count, unit in parts}
    if not parts or len(counts) < len(parts):
        raise ValueError("must be a length of time such as 2y, 6m (months), 30d, 48h or 1y5m7d2h")
    if not any(counts.values()):
        raise ValueError("has no length: it keeps nothing")
    return Span(*(counts.get(unit, 0) for unit in "ymdh"))


def _given(value: object) -> Span:
    return value if isinstance(value, Span) else parse_span(value)

"""What all models of the configuration have in common."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAME_PATTERN = r"[a-z0-9][a-z0-9_-]*"


class Model(BaseModel):
    """A mapping of the configuration: unknown keys are errors, values do not change, errors hide what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


def _checked_name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError("a name is made of a-z, 0-9, _ and -, and begins with a letter or a digit")
    return name


Name = Annotated[str, AfterValidator(_checked_name), Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$"})]
"""What a source or a job is called."""


def no_truth_value(value: Any) -> Any:
    """Refuse true and false, which Python counts as numbers; the text form of a number will do, since it may come
    from an environment variable."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic reports ValueError only
    return value


_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_percent(text: object) -> float:
    """A share from 0 to 1 from a percentage (``2%``); ``ValueError`` otherwise."""
    match = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError("must be a percentage from 0% to 100%, such as 2%")
    return float(match[1]) / 100


Percent = Annotated[
    float, BeforeValidator(parse_percent), WithJsonSchema({"type": "string", "examples": ["2%", "100%"]})
]
"""A share from 0 to 1, written as a percentage."""


_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def parse_size(text: object) -> int:
    """Bytes from a size with its unit; ``ValueError`` otherwise.

    ``300 MB`` is 300,000,000 and ``1.5GiB`` is 1,610,612,736.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    factor = _UNITS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise ValueError("must be a size with its unit, such as 300 MB or 1 GiB")
    whole, _, fraction = match[1].partition(".")
    return int(int(whole + fraction) * factor // 10 ** len(fraction))


Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema({"type": "string", "examples": ["300 MB", "1 GiB"]})]
"""A number of bytes, written with a unit."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def parse_duration(text: object) -> float:
    """Seconds from a duration with its unit; ``ValueError`` otherwise. ``90s`` is 90, ``1.5 h`` is 5400."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a duration with its unit, such as 30s, 15m, 24h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


Duration = Annotated[
    float, BeforeValidator(parse_duration), WithJsonSchema({"type": "string", "examples": ["60s", "15m", "24h"]})
]
"""A length of time in seconds, written with a unit."""

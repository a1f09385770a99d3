"""Values as JSON, the way all of drtool's output has them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any


def encode(fields: Mapping[str, Any]) -> str:
    """One line of ASCII, without its newline.

    Times become ISO 8601 with their zone, durations seconds, paths text, enumerations their value, data classes
    objects, sets sorted lists. ``TypeError`` for anything else that JSON lacks, ``ValueError`` for a time without a
    zone or a number that is none.
    """
    return json.dumps(fields, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError("a time without a zone")
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case PurePath():
            return str(value)
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case Set():
            return sorted(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            # Not `asdict`, which copies deeply: inner values come back here by themselves.
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no form in JSON")

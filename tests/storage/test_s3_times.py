"""Times in S3's answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from drtool.storage.s3_client import _timestamp


@given(st.datetimes())
def test_times_of_listings(moment: datetime) -> None:
    told = f"{moment.isoformat(timespec='milliseconds')}Z"
    assert _timestamp(told) == parse_timestamp(told)


@pytest.mark.parametrize(
    "told", ["Sat, 21 Nov 2026 18:29:28 GMT", "2026-11-21T18:29:28+00:00", "20261121T182928Z", 1795285768, "1795285768"]
)
def test_times_in_other_forms(told: Any) -> None:
    assert _timestamp(told) == parse_timestamp(told)


def test_what_is_no_time() -> None:
    with pytest.raises(ValueError):
        _timestamp("never, saysZ")

"""Sizes and durations with units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.model import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("300 MB", 300_000_000),
        ("300MB", 300_000_000),
        ("1GiB", 2**30),
        ("1.5 gib", 3 * 2**29),
        ("64 kB", 64_000),
        ("0.1 MB", 100_000),
        (" 7 B ", 7),
    ],
)
def test_size(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["300", 300, "300 M", "-1 MB", "MB", "1e3 MB", "1,5 GB", "", None, True])
def test_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="size with its unit"):
        parse_size(text)


@given(st.integers(0, 2**70), st.sampled_from(["B", "kB", "MB", "GiB"]))
def test_whole_numbers_are_exact(count: int, unit: str) -> None:
    factor = {"B": 1, "kB": 1000, "MB": 10**6, "GiB": 2**30}[unit]
    assert parse_size(f"{count} {unit}") == count * factor


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60), ("250 ms", 0.25), ("15m", 900), ("1.5 h", 5400), ("7d", 604_800), (" 0s ", 0)],
)
def test_duration(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["60", 60, "60 sec", "-1s", "s", "1h30m", "1,5h", "", None, True])
def test_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration with its unit"):
        parse_duration(text)

"""Variables in text values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.environment import escape, expand

SET = {"A": "one", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x${A}y${A}", "xoneyone"),
        ("${A:-two}", "one"),
        ("${B:-two}", "two"),
        ("${B:-}", ""),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("pa$word$", "pa$word$"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, SET) == expected


def test_unset() -> None:
    with pytest.raises(ValueError, match=r"^environment variable B is not set$"):
        expand("${A}${B}", SET)


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${A-b}", "${1A}", "${ A }"])
def test_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="begins no variable"):
        expand(text, SET)


@given(st.text(alphabet="$${}A:-x"))
def test_escape_is_undone(text: str) -> None:
    assert expand(escape(text), SET) == text


@given(st.text(alphabet="$${}A:-x"))
def test_values_are_not_expanded_again(text: str) -> None:
    assert expand("${V}", {"V": text}) == text

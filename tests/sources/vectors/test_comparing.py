"""Vectors that are equal within a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drtool.sources.vectors.comparing import compare_vectors
from drtool.sources.vectors.records import encode_vectors

finite = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100)
matrices = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=finite)


def chunk(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str = "") -> bytes:
    """Records of these vectors."""
    return b"".join(
        bytes(encode_vectors(f"{number:03}", {name: row.astype("<f4").tobytes()})[1])
        for number, row in enumerate(matrix)
    )


def moved(
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]], steps: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The first value so many floats further up."""
    found = matrix.copy()
    for _ in range(steps):
        found[0, 0] = np.nextafter(found[0, 0], np.float32(np.inf), dtype=np.float32)
    return found


@given(matrices, st.integers(0, 5))
def test_so_many_units_in_the_last_place(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]], steps: int) -> None:
    compared = compare_vectors([chunk(matrix)], [chunk(moved(matrix, steps))], 2)
    zeros = float(matrix[0, 0]) == 0.0 or np.signbit(matrix[0, 0]) != np.signbit(moved(matrix, steps)[0, 0])
    if not zeros:  # minus zero and zero are one number, and no step apart
        assert bool(compared.differences) == (steps > 2)
        assert compared.largest_error.startswith(f"{steps} ")
    assert compared.records == len(matrix)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (chunk(np.ones((2, 3), np.float32)), "not there"),
        (chunk(np.ones((4, 3), np.float32)), "one too many"),
        (chunk(np.ones((3, 4), np.float32)), "another one"),
        (chunk(np.ones((3, 3), np.float32), "named"), "another one"),
        (chunk(np.full((3, 3), np.nan, np.float32)), "another one"),
        (chunk(-np.ones((3, 3), np.float32)), "differs by"),
    ],
)
def test_what_is_something_else(found: bytes, says: str) -> None:
    compared = compare_vectors([chunk(np.ones((3, 3), np.float32))], [found], 2)
    assert says in compared.differences[0]


def test_zeros_of_either_sign_are_equal() -> None:
    assert not compare_vectors(
        [chunk(np.zeros((1, 3), np.float32))], [chunk(-np.zeros((1, 3), np.float32))], 0
    ).differences


def test_however_they_are_cut() -> None:
    one = [chunk(np.ones((3, 3), np.float32))]
    records = one[0]
    length = len(records) // 3
    other = [records[:length], records[length:]]
    assert compare_vectors(one, other, 0) == compare_vectors(one, one, 0)
    assert compare_vectors(one, other, 0).records == 3

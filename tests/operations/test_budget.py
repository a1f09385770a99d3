"""From memory to concurrency."""

from __future__ import annotations

from dataclasses import astuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.limits import DEFAULT_MEMORY, LEAST_MEMORY
from drtool.operations.budget import Budget
from drtool.repository.packs import PACK_BYTES

memories = st.integers(LEAST_MEMORY, 16_000_000_000)
numbers = st.one_of(st.none(), st.integers(1, 256))
cores = st.integers(1, 128)


def _within(memory: int, readers: int | None, count: int) -> Budget:
    with mock.patch("os.cpu_count", return_value=count):
        return Budget.within(memory, readers)


@given(memories, numbers, cores)
def test_everything_can_go_on(memory: int, readers: int | None, count: int) -> None:
    budget = _within(memory, readers, count)
    assert min(budget.readers, budget.workers, budget.uploads) >= 1
    assert budget.queue_bytes > 4 * 1024 * 1024  # at least one chunk of ordinary size fits
    if readers is not None:
        assert budget.readers <= readers


@given(memories, memories, numbers, cores)
def test_more_memory_is_never_less_of_anything(one: int, other: int, readers: int | None, count: int) -> None:
    less, more = (_within(memory, readers, count) for memory in sorted((one, other)))
    assert all(a <= b for a, b in zip(astuple(less), astuple(more), strict=True))


@given(st.integers(DEFAULT_MEMORY, 16_000_000_000), numbers, cores)
def test_what_is_held_fits(memory: int, readers: int | None, count: int) -> None:
    """Beside the program: queued chunks, a reply and a chunk for each reader, packs being filled and on their way."""
    budget = _within(memory, readers, count)
    packs = (1 + budget.uploads) * budget.pack_bytes
    held = budget.queue_bytes + budget.readers * 12_000_000 + budget.workers * 4_000_000 + packs
    assert held <= memory - 80_000_000


@given(memories, numbers, cores)
def test_helpers_and_packs_fit(memory: int, readers: int | None, count: int) -> None:
    """Helpers take the place of readers, workers and queue."""
    budget = _within(memory, readers, count)
    assert budget.helpers != 1  # one would do what this process can
    assert budget.helpers <= min(count, readers or count)
    packs = (1 + budget.uploads) * budget.pack_bytes
    assert budget.helpers * 48_000_000 + packs <= memory - 80_000_000 or not budget.helpers


def test_helpers_at_the_default() -> None:
    assert _within(DEFAULT_MEMORY, None, 2).helpers == 2
    assert _within(DEFAULT_MEMORY, None, 1).helpers == 0
    assert _within(DEFAULT_MEMORY, 1, 2).helpers == 0
    assert _within(LEAST_MEMORY, None, 2).helpers == 0


@given(memories, numbers, cores)
def test_packs_are_never_larger_than_the_format_has_them(memory: int, readers: int | None, count: int) -> None:
    assert PACK_BYTES // 8 <= _within(memory, readers, count).pack_bytes <= PACK_BYTES


@pytest.mark.parametrize("readers", [1, 3, 8])
def test_a_number_of_readers_is_kept_where_there_is_memory(readers: int) -> None:
    assert Budget.within(4_000_000_000, readers).readers == readers

"""Which packs ``--sample`` and ``--share`` choose."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import UsageError
from drtool.operations.verify.inspecting import Sample

packs = st.lists(st.integers(0, 10_000).map(lambda n: hashlib.sha256(str(n).encode()).digest()), unique=True)


@given(packs, st.integers(1, 12), st.binary(min_size=16, max_size=16))
def test_shares_take_everything_exactly_once(names: list[bytes], whole: int, salt: bytes) -> None:
    shares = [Sample.parse(None, f"{part}/{whole}") for part in range(1, whole + 1)]
    assert sum(share.fraction for share in shares) == pytest.approx(1)
    for name in names:
        assert [share.takes(name, salt) for share in shares].count(True) == 1


@given(packs, st.binary(min_size=16, max_size=16))
def test_without_options_everything(names: list[bytes], salt: bytes) -> None:
    for sample in (Sample(), Sample.parse(None, None), Sample.parse("100%", None), Sample.parse(None, "1/1")):
        assert all(sample.takes(name, salt) for name in names)


def test_a_sample_takes_about_its_part_and_another_each_time() -> None:
    names = [hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(4000)]
    taken = [{name for name in names if Sample.parse("10%", None).takes(name, salt)} for salt in (b"a", b"b")]
    for one in taken:
        assert 300 < len(one) < 500
    assert len(taken[0] & taken[1]) < 100


@pytest.mark.parametrize(("text", "fraction"), [("10%", 0.1), ("0.5%", 0.005), ("7", 0.07), ("100%", 1.0)])
def test_percentages(text: str, fraction: float) -> None:
    assert Sample.parse(text, None).fraction == pytest.approx(fraction)


@given(st.text(max_size=8))
def test_anything_else_is_a_usage_error(text: str) -> None:
    for arguments in ((text, None), (None, text)):
        with contextlib.suppress(UsageError):
            assert 0 < Sample.parse(*arguments).fraction <= 1

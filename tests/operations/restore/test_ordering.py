"""The order in which sources are restored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drtool.operations.restore.ordering import restore_order

NAMES = ["a", "b", "c", "d", "e"]
references = st.lists(st.tuples(st.sampled_from([*NAMES, "elsewhere"]), st.sampled_from([*NAMES, "elsewhere"])))


def test_what_is_referred_to_comes_first() -> None:
    assert restore_order(["vectors", "code", "app"], [("vectors", "app")]) == ["code", "app", "vectors"]
    assert restore_order(["a", "b", "c"], []) == ["a", "b", "c"]


def test_a_circle_is_no_obstacle() -> None:
    assert restore_order(["a", "b", "c"], [("a", "b"), ("b", "a"), ("b", "c")]) == ["c", "a", "b"]


@given(st.permutations(NAMES), references)
def test_each_once_and_no_reference_forwards(names: list[str], pairs: list[tuple[str, str]]) -> None:
    order = restore_order(names, pairs)
    assert sorted(order) == sorted(names)
    ahead: dict[str, set[str]] = {name: {two for one, two in pairs if one == name and two != name} for name in names}

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        left = [name]
        while left:
            for other in ahead.get(left.pop(), set()) - found:
                found.add(other)
                left.append(other)
        return found

    for referring, referred in pairs:
        in_circle = referring in reached(referred)
        if {referring, referred} <= set(names) and referring != referred and not in_circle:
            assert order.index(referred) < order.index(referring)

"""A paper key that is typed in again, with mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import KeyFileError
from drtool.repository.identity import Identity
from drtool.repository.paper import ALPHABET, GROUPS, check_character, from_typed, groups_of, is_paper, to_lines

secrets = st.binary(min_size=32, max_size=32)
IDENTITY = Identity(bytes(range(32)))
CELLS = [f"{group}/{check_character(n, group)}" for n, group in enumerate(groups_of(IDENTITY), start=1)]


def _typed(cells: list[str]) -> str:
    return "\n".join(f"{n} {cell}" for n, cell in enumerate(cells, start=1))


@given(secrets, st.none() | secrets)
def test_round_trip(secret: bytes, root: bytes | None) -> None:
    identity = Identity(secret, root)
    text = "\n".join(to_lines(identity))
    assert is_paper(text)
    assert from_typed(text, "typed") == identity
    assert from_typed(text.lower(), "typed") == identity


@given(secrets, st.data())
def test_it_may_be_typed_in_many_ways(secret: bytes, data: st.DataObject) -> None:
    identity = Identity(secret)
    typed = ""
    for n, group in enumerate(groups_of(identity), start=1):
        number = data.draw(st.sampled_from(["", f"{n} ", f"{n}. ", f"{n}) ", f"{n}:  "]))
        slash = data.draw(st.sampled_from(["/", " / ", "/ "]))
        typed += f"{number}{group}{slash}{check_character(n, group)}" + data.draw(st.sampled_from([" ", "\n", "\n\n"]))
    assert from_typed(f"# what I typed\n{typed}", "typed") == identity


def test_the_rest_of_the_page_may_be_typed_too() -> None:
    page = ["DRTOOL PAPER KEY", "at           s3://bucket/prefix", "fingerprint  ab/cd", *to_lines(IDENTITY), "a / b c"]
    assert from_typed("\n".join(page), "typed") == IDENTITY


@given(secrets, st.integers(0, 9), st.data())
def test_one_wrong_character_names_its_group_and_no_other(secret: bytes, place: int, data: st.DataObject) -> None:
    groups = groups_of(Identity(secret))
    cells = [f"{group}/{check_character(n, group)}" for n, group in enumerate(groups, start=1)]
    at = data.draw(st.integers(0, len(cells[place]) - 1).filter(lambda at: cells[place][at] != "/"))
    wrong = data.draw(st.sampled_from(ALPHABET).filter(lambda character: character != cells[place][at]))
    cells[place] = cells[place][:at] + wrong + cells[place][at + 1 :]
    with pytest.raises(KeyFileError) as caught:
        from_typed(_typed(cells), "typed")
    assert caught.value.message == f"typed: group {place + 1} is mistyped"


@given(secrets, st.integers(0, 9), st.data())
def test_two_characters_that_changed_places_are_noticed(secret: bytes, place: int, data: st.DataObject) -> None:
    group = list(groups_of(Identity(secret))[place])
    check = check_character(place + 1, "".join(group))
    one, other = (data.draw(st.integers(0, len(group) - 1)) for _ in range(2))
    changed = group[one] != group[other]
    group[one], group[other] = group[other], group[one]
    assert (check_character(place + 1, "".join(group)) != check) == changed


@given(st.integers(0, 8), st.integers(0, 8))
def test_two_groups_that_changed_places_are_both_named(one: int, other: int) -> None:
    cells = list(CELLS)
    cells[one], cells[other] = cells[other], cells[one]
    if one == other:
        assert from_typed(_typed(cells), "typed") == IDENTITY
        return
    with pytest.raises(KeyFileError) as caught:
        from_typed(_typed(cells), "typed")
    first, second = sorted((one + 1, other + 1))
    assert caught.value.message == f"typed: group {first} is mistyped; group {second} is mistyped"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (_typed(CELLS[:-1]), "has 9 groups instead of 10"),
        (_typed([*CELLS, CELLS[0]]), "has 11 groups instead of 10"),
        (_typed(CELLS).replace("4 FQ", "5 FQ"), "group 4 is missing, or not in its place"),
        (_typed([*CELLS[:3], CELLS[3].replace("F", "0", 1), *CELLS[4:]]), "character '0', .*the letter O"),
        (_typed([*CELLS[:3], CELLS[3].replace("F", "é", 1), *CELLS[4:]]), "group 4 has the character 'É'"),
        (_typed([CELLS[0][1:], *CELLS[1:]]), "group 1 has 5 characters instead of 6"),
        (_typed([*CELLS[:-1], f"A{CELLS[-1]}"]), "group 10 has 5 characters instead of 4"),
    ],
)
def test_what_is_wrong_is_said(typed: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message):
        from_typed(typed, "typed")


def test_the_whole_has_a_checksum_too() -> None:
    """Groups that fit by themselves, of two papers."""
    other = groups_of(Identity(b"another secret..".ljust(32)))
    cells = [f"{other[0]}/{check_character(1, other[0])}", *CELLS[1:]]
    with pytest.raises(KeyFileError, match="checksum"):
        from_typed(_typed(cells), "typed")


@pytest.mark.parametrize("text", ["", "nothing", IDENTITY.to_line(), IDENTITY.to_file("a/b"), "# a/b", "s3://bucket/x"])
def test_what_is_no_paper(text: str) -> None:
    assert not is_paper(text)


def test_groups_are_those_of_the_identity_line() -> None:
    assert tuple(len(group) for group in groups_of(IDENTITY)) == GROUPS

"""The chain of an audit log: whatever is done to its lines is noticed by who knows its end."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from drtool.monitoring.audit_lines import Checked, End, Line, against, check_lines, digest, make_line, parse_line

Harm = Callable[[list[bytes], st.DataObject], list[bytes]]


def _log(count: int, salt: str = "") -> list[Line]:
    lines: list[Line] = []
    for number in range(count):
        after = End(lines[-1].number, lines[-1].hash) if lines else End()
        lines.append(make_line(after, {"event": "begun", "command": f"c{number}{salt}"}))
    return lines


def _raw(lines: list[Line]) -> list[bytes]:
    return [line.text.encode() for line in lines]


def _end(lines: list[Line]) -> End:
    return End(lines[-1].number, lines[-1].hash)


def _is_noticed(found: Checked, seen: End) -> bool:
    return bool([*found.faults, *against(found, seen, "somebody")])


def _edit(raw: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(raw) - 1))
    line = bytearray(raw[at])
    line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
    return [*raw[:at], *bytes(line).split(b"\n"), *raw[at + 1 :]]


def _cut(raw: list[bytes], data: st.DataObject) -> list[bytes]:
    first = data.draw(st.integers(0, len(raw) - 1))
    return raw[:first] + raw[data.draw(st.integers(first + 1, len(raw))) :]


def _swap(raw: list[bytes], data: st.DataObject) -> list[bytes]:
    one, other = data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=2, max_size=2, unique=True))
    changed = list(raw)
    changed[one], changed[other] = raw[other], raw[one]
    return changed


def _insert(raw: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(raw) - 1))
    foreign = _raw(_log(len(raw), "foreign"))
    return [*raw[:at], data.draw(st.sampled_from([*raw, *foreign, b"", b"garbage", b"[]", b"{}"])), *raw[at:]]


def _replace_the_end(raw: list[bytes], data: st.DataObject) -> list[bytes]:
    """Written anew by somebody who knows the form: each line follows the one before."""
    keep = data.draw(st.integers(0, len(raw) - 1))
    kept = [line for line in map(parse_line, raw[:keep]) if line is not None]
    end = _end(kept) if kept else End()
    for number in range(data.draw(st.integers(0, len(raw) - keep + 2))):
        line = make_line(end, {"command": f"forged {number}"})
        end = End(line.number, line.hash)
        kept.append(line)
    return _raw(kept)


@given(st.integers(1, 12))
def test_what_was_written_is_whole(count: int) -> None:
    lines = _log(count)
    found = check_lines(_raw(lines))
    assert (found.faults, found.end, found.log) == ([], _end(lines), lines[0].hash)
    assert not list(against(found, _end(lines), "somebody"))
    assert all(parse_line(line.text.encode()) == line for line in lines)


@given(st.integers(2, 8), st.sampled_from([_edit, _cut, _swap, _insert, _replace_the_end]), st.data())
def test_whatever_is_done_to_it_is_noticed(count: int, harm: Harm, data: st.DataObject) -> None:
    lines = _log(count)
    assert _is_noticed(check_lines(harm(_raw(lines), data)), _end(lines))


@given(st.integers(2, 8), st.data())
def test_who_has_seen_an_earlier_end_notices_what_was_done_before_it(count: int, data: st.DataObject) -> None:
    lines = _log(count)
    seen = lines[: data.draw(st.integers(1, count))]
    assert _is_noticed(check_lines(_replace_the_end(_raw(seen), data)), _end(seen))


def test_each_fault_is_named() -> None:
    one, two, three, four = _raw(_log(4))

    def named(*raws: bytes) -> list[tuple[str, int]]:
        return [(fault.kind, fault.number) for fault in check_lines(raws).faults]

    assert named(one, three, four) == [("missing", 2)]
    assert named(one, four) == [("missing", 2)]
    assert named(one, two.replace(b'"c1"', b'"cx"'), three, four) == [("altered", 2)]
    assert named(one, three, two, four) == [("missing", 2), ("foreign", 2)]
    assert named(one, one, two) == [("foreign", 1)]
    assert named(b"garbage", one, two) == [("altered", 1)]
    assert named(one, two, b"") == [("altered", 3)]
    assert named(two, three) == [("missing", 1)]


def test_a_torn_line_that_is_noted_is_no_fault() -> None:
    one, two = _log(2)
    torn = two.text.encode()[:17]
    noting = make_line(_end([one]), {"command": "c1", "torn": digest(torn)})
    first = one.text.encode()
    found = check_lines([first, torn, noting.text.encode()])
    assert (found.faults, found.torn) == ([], 1)
    for raws in ([first, noting.text.encode()], [first, torn + b"x", noting.text.encode()]):
        assert [fault.kind for fault in check_lines(raws).faults] == ["altered"]

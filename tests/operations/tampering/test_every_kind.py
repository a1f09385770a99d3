"""Each kind of object deleted, truncated, altered, exchanged, or taken from another repository: the first level of
verification that finds it, on a host that has seen the repository, and on one that comes new.

``opening`` is an error before anything is verified. ``never``: what nothing refers to can be missing without a trace
(pins, distrust, tombstones, escrow and added slots are not numbered), and runs and leases hold for the moment only.
Slots that were altered are seen at ``readable`` by the recipient whom they are for, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drtool.repository.keyring import ChunkKind
from tests.operations.site import flip, swap, truncate
from tests.operations.tampering.scene import LEVELS, OPENING, Scene

pytestmark = pytest.mark.heavy

Victims = Callable[[Scene], list[str]]


def _of(kind: str, place: int = 0) -> Victims:
    """The objects of a kind, beginning with the one at this place in their order."""
    return lambda scene: (names := scene.names(kind))[place:] + names[:place]


def _packs(kind: ChunkKind) -> Victims:
    return lambda scene: scene.packs(kind)


KINDS: dict[str, Victims] = {
    "document": lambda _: ["repository.json"],
    "keys": _of("keys/"),
    "escrow": _of("escrow"),
    "data pack": _packs(ChunkKind.DATA),
    "catalog pack": _packs(ChunkKind.CATALOG),
    "index": _of("index/"),
    "oldest manifest": _of("snapshots/"),
    "manifest between": _of("snapshots/", 1),
    "newest manifest": _of("snapshots/", -1),
    "older removal": _of("removals/"),
    "newest removal": _of("removals/", -1),
    "older evidence": _of("evidence/"),
    "pin": _of("pins/"),
    "distrust": _of("distrust/"),
    "tombstone": _of("tombstones/"),
    "slots": _of("slots/"),
    "segment between": _of("oplog/", 1),
    "newest segment": _of("oplog/", -1),
    "run": _of("runs/"),
}
#: kind: deleted, truncated, altered, exchanged, taken from another repository. "/" parts a host that has seen the
#: repository from one that comes new, where there is a difference.
TABLE = {
    "document": "opening opening opening - opening",
    "keys": "listed listed listed listed listed",
    "escrow": "never listed listed listed listed",
    "data pack": "listed listed intact listed intact",
    "catalog pack": "listed listed listed listed listed",
    "index": "listed intact/listed intact/listed intact/listed intact/listed",
    "oldest manifest": "listed listed listed listed listed",
    "manifest between": "listed listed listed listed listed",
    "newest manifest": "listed/never listed listed listed listed",
    "older removal": "listed listed listed listed listed",
    "newest removal": "listed listed listed listed listed",
    "older evidence": "listed listed listed listed listed",
    "pin": "never listed listed listed listed",
    "distrust": "never listed listed listed listed",
    "tombstone": "never listed listed listed listed",
    "slots": "never listed never never never",
    "segment between": "listed listed listed listed listed",
    "newest segment": "listed/never listed listed listed listed",
    "run": "never never never never never",
}
HARMS = ("deleted", "truncated", "altered", "exchanged", "foreign")
CASES = [
    pytest.param(kind, harm, host, level, id=f"{kind}-{harm}-{host}")
    for kind, row in TABLE.items()
    for harm, cell in zip(HARMS, row.split(), strict=True)
    if cell != "-"
    for host, level in (zip(("host1", "new"), cell.split("/"), strict=True) if "/" in cell else [("new", cell)])
]


def _harm(scene: Scene, foreign: Scene, kind: str, harm: str) -> set[str]:
    """Do it; the names of the objects that are not what they were."""
    victims = KINDS[kind](scene)
    harmed = {victims[0]}
    path = scene.root / victims[0]
    if harm == "deleted":
        path.unlink()
    elif harm == "truncated":
        truncate(path)
    elif harm == "altered":
        flip(path, 0.1 if kind == "escrow" else 0.5)  # its second line proves nothing, and nobody reads all of that
    elif harm == "exchanged":
        size = path.stat().st_size
        # Packs of one length are told apart by their content alone.
        others = victims[1:] or KINDS["data pack"](scene)
        other = next((one for one in others if (scene.root / one).stat().st_size != size), others[0])
        swap(path, scene.root / other)
        harmed.add(other)
    else:
        data, size = (foreign.root / KINDS[kind](foreign)[0]).read_bytes(), path.stat().st_size
        # How large a pack is depends on where pages are cut, and another size is found by listing it.
        path.write_bytes(data[:size].ljust(size, b"x") if kind == "data pack" else data)
    return harmed


@pytest.mark.parametrize(("kind", "harm", "host", "level"), CASES)
def test_what_finds_it(scene: Scene, foreign: Scene, kind: str, harm: str, host: str, level: str) -> None:
    names = _harm(scene, foreign, kind, harm)
    found, problems = scene.first_level(host, LEVELS[-1:] if level == "never" else LEVELS)
    assert found == (None if level == "never" else level), problems
    if found in (None, OPENING) or harm == "deleted":
        return
    assert all(problem.kind and problem.message for problem in problems)
    named = {problem.object for problem in problems}
    assert names & named, problems  # without the list of streams nothing else of a snapshot is looked at
    if kind == "data pack":
        assert any(problem.stream == "app/plaintext-of-a-key" for problem in problems)

"""Two processes of one host share the copy of the index."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from drtool.storage.base import ObjectInfo
from tests.repository.builders import Made, Stream, backup, objects


def test_what_another_process_adds_while_the_index_is_listed_stays(
    victim: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(victim.as_agent()) as one, contextlib.closing(victim.as_agent()) as other:
        one.refresh_index()
        real = one.storage.list

        def listed(prefix: str = "") -> Iterator[ObjectInfo]:
            found = list(real(prefix))
            monkeypatch.undo()
            backup(other, [Stream("a", (b"a chunk of its own",))])
            return iter(found)

        monkeypatch.setattr(one.storage, "list", listed)
        one.refresh_index()
        assert other.cache.object_names() == set(objects(victim.storage, "index/"))


def test_what_vanished_is_forgotten(victim: Made) -> None:
    with contextlib.closing(victim.as_agent()) as agent:
        agent.refresh_index()
        name, *others = objects(victim.storage, "index/")
        victim.storage.delete(name)
        agent.refresh_index()
        assert agent.cache.object_names() == set(others)

"""DirectoryStorage behaves like a dictionary, whatever is done in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from drtool.errors import ObjectMissingError, PreconditionFailedError
from drtool.storage.directory import DirectoryStorage

NAMES = st.sampled_from(["a/a", "a/b", "a-b", "a.b", "a0", "b/c/d", "b/c/e", "b0"])
CONTENTS = st.sampled_from([b"", b"x", b"y", b"xy", b"yx"])


class Dictionary(RuleBasedStateMachine):
    """`model` maps names to contents and etags; `old` are all etags ever seen of a name."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.storage = DirectoryStorage(self.path / "repository")
        self.model: dict[str, tuple[bytes, str]] = {}
        self.old: dict[str, set[str]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.path)

    def _stored(self, name: str, content: bytes, etag: str) -> None:
        assert etag not in self.old.setdefault(name, set())
        self.old[name].add(etag)
        self.model[name] = content, etag

    @rule(name=NAMES, content=CONTENTS)
    def put(self, name: str, content: bytes) -> None:
        self._stored(name, content, self.storage.put(name, content).etag)

    @rule(name=NAMES, content=CONTENTS)
    def create(self, name: str, content: bytes) -> None:
        if name in self.model:
            with pytest.raises(PreconditionFailedError):
                self.storage.put(name, content, if_absent=True)
        else:
            self._stored(name, content, self.storage.put(name, content, if_absent=True).etag)

    @rule(name=NAMES, content=CONTENTS)
    def swap(self, name: str, content: bytes) -> None:
        for etag in sorted(self.old.get(name, set()) - {self.model.get(name, (b"", ""))[1]}):
            with pytest.raises(PreconditionFailedError):
                self.storage.put(name, content, if_match=etag)
        if name in self.model:
            self._stored(name, content, self.storage.put(name, content, if_match=self.model[name][1]).etag)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.storage.delete(name)
        self.model.pop(name, None)

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        if name in self.model:
            assert self.storage.get(name) == self.model[name][0]
            assert self.storage.head(name).etag == self.model[name][1]
        else:
            with pytest.raises(ObjectMissingError):
                self.storage.get(name)

    @rule(prefix=st.sampled_from(["", "a", "a/", "a/b", "a-", "b", "b/", "b/c", "b/c/", "c"]))
    def list_some(self, prefix: str) -> None:
        listed = [(info.name, info.size, info.etag) for info in self.storage.list(prefix)]
        expected = [(name, len(content), etag) for name, (content, etag) in sorted(self.model.items())]
        assert listed == [entry for entry in expected if entry[0].startswith(prefix)]

    @invariant()
    def no_debris(self) -> None:
        incoming = self.path / "repository" / "+incoming"
        assert not incoming.exists() or not list(incoming.iterdir())


TestDictionary = Dictionary.TestCase
TestDictionary.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

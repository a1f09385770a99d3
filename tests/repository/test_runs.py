"""Runs: registered, renewed, expired, ended."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import PermissionDeniedError, RunExpiredError
from drtool.repository import runs
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.storage.base import Buffer, ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import Made, make, objects


def _state(repository: Repository, run: Run) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(repository.open_object(Kind.RUN, run.name).payload)
    return fields


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(runs, "_awake_clock", lambda: self.now)


def test_a_run_is_registered_before_anything_else(made: Made) -> None:
    repository = made.as_agent()
    with Run(repository, "backup", "nightly") as run:
        assert list(objects(made.storage, "runs/")) == [run.name]
        fields = _state(repository, run)
        assert (fields["kind"], fields["job"], fields["state"], fields["generation"]) == (
            "backup",
            "nightly",
            "running",
            1,
        )
        run.renew()
        assert _state(repository, run)["generation"] == 2
        run.outcome = "committed"
    assert _state(repository, run)["state"] == "committed"


def test_a_run_that_fails_says_so(made: Made) -> None:
    repository = made.as_agent()
    run = Run(repository, "backup")
    with pytest.raises(KeyError), run:
        raise KeyError
    assert _state(repository, run)["state"] == "failed"


def test_a_run_renews_itself(made: Made) -> None:
    repository = made.as_agent()
    with Run(repository, "backup", renew_seconds=0.001) as run:
        waiting = threading.Event()
        for _ in range(1000):
            if _state(repository, run)["generation"] > 3:
                break
            waiting.wait(0.01)
        assert _state(repository, run)["generation"] > 3
        assert not run._thread.daemon or run._thread.is_alive()
    assert not run._thread.is_alive()


def test_after_twelve_hours_without_renewal_nothing_may_be_committed(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with Run(made.as_agent(), "backup") as run:
        clock.now += 12 * 3600
        run.renew()
        clock.now += 12 * 3600 + 1
        with pytest.raises(RunExpiredError, match="12 hours"):
            run.renew()
        with pytest.raises(RunExpiredError):
            run.renew()


class Slow(DirectoryStorage):
    """Lets a clock go on while it stores."""

    clock: Clock | None = None
    takes = 0.0
    refuses = False

    def put(self, name: str, data: Buffer, **conditions: Any) -> ObjectInfo:
        """Store, and take its time to answer."""
        if self.refuses:
            raise PermissionDeniedError("refused")
        info = super().put(name, data, **conditions)
        if self.clock is not None:
            self.clock.now += self.takes
        return info


def test_a_renewal_counts_from_when_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suspended between the store's taking a renewal and its answer: the store's clock ran all the while."""
    storage = Slow(tmp_path / "repository")
    made = make(tmp_path, storage)
    storage.clock = Clock(monkeypatch)
    with Run(made.as_agent(), "backup") as run:
        storage.takes = 13 * 3600.0
        run.renew()
        storage.takes = 0
        with pytest.raises(RunExpiredError):
            run.renew()


def test_a_last_word_that_cannot_be_said_does_not_hide_the_error(tmp_path: Path) -> None:
    storage = Slow(tmp_path / "repository")
    made = make(tmp_path, storage)

    def fail() -> None:
        storage.refuses = True
        raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"), Run(made.as_agent(), "backup"):
        fail()
    storage.refuses = False
    with Run(made.as_agent(), "backup") as run:
        run.outcome = "committed"
        storage.refuses = True


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    assert runs._awake_clock() > 0

"""What became of runs, as several processes write it down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drtool.errors import StateError
from drtool.scheduling.ledger import Ledger, Outcome, RunState
from tests.cli.running import environment
from tests.operations.unattended.living import HandSet
from tests.scheduling.samples import at

OK = Outcome(RunState.OK, 0)
SLOT = at("21 02:00")
#: Begins a run, says so, and waits to be killed.
BEGIN = """
import sys, time
from pathlib import Path
from drtool.scheduling.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.begin("theirs", "backup", job="nightly", entry="nightly")
print("begun", flush=True)
time.sleep(600)
"""


@pytest.fixture
def clock() -> HandSet:
    return HandSet(at("21 02:00"))


@pytest.fixture
def ledger(tmp_path: Path, clock: HandSet) -> Iterator[Ledger]:
    with Ledger(tmp_path, clock) as opened:
        yield opened


def claim(ledger: Ledger, id_: str, slot: datetime = SLOT, tried: int = 0) -> bool:
    return ledger.claim(id_, "backup", job="nightly", entry="nightly", slot=slot, tried=tried) is not None


def test_a_run_from_its_beginning_to_its_end(ledger: Ledger, clock: HandSet) -> None:
    begun = ledger.begin("a", "verify", job="nightly", slot=SLOT)
    assert (begun.state, begun.seconds, ledger.is_alive(begun)) == (RunState.RUNNING, None, True)
    clock.time += timedelta(seconds=90)
    assert ledger.end("a", Outcome(RunState.FAILED, 1, "storage", "no answer", "wait"), {"bytes": 7})
    found = ledger.run("a")
    assert found is not None
    assert (found.state, found.exit_code, found.kind, found.message, found.hint) == (
        RunState.FAILED,
        1,
        "storage",
        "no answer",
        "wait",
    )
    assert (found.slot, found.seconds, dict(found.figures)) == (SLOT, 90, {"bytes": 7})
    assert not ledger.is_alive(found)
    assert not ledger.end("a", OK), "what ended stays as it ended"
    assert ledger.run("b") is None


def test_of_several_schedulers_one_has_a_slot(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda pair: claim(pair[1], f"run {pair[0]}"), enumerate(ledgers)))
    assert won.count(True) == 1
    assert len(ledgers[0].runs()) == 1
    assert not claim(ledgers[0], "again")
    assert claim(ledgers[0], "the next", SLOT + timedelta(days=1))
    assert claim(ledgers[0], "a second time", tried=1)
    for one in ledgers:
        one.close()


def test_a_run_that_another_process_takes_over_never_looks_dead(tmp_path: Path) -> None:
    with Ledger(tmp_path) as third:
        with Ledger(tmp_path) as parent:
            assert claim(parent, "a")
            child = Ledger(tmp_path)
            child.begin("a", "backup")
        found = third.run("a")
        assert found is not None
        assert (found.job, found.slot) == ("nightly", SLOT), "what its parent knew stays"
        assert third.is_alive(found)
        assert not third.take_over(found)
        child.close()
        assert not third.is_alive(found)
        assert third.take_over(found)


def test_one_that_was_given_up_too_early_is_back(ledger: Ledger) -> None:
    assert claim(ledger, "a")
    ledger.end("a", Outcome(RunState.LOST, 1))
    ledger.begin("a", "backup")
    assert [run.state for run in ledger.runs()] == [RunState.RUNNING]


def test_a_process_that_is_killed_answers_for_nothing(ledger: Ledger) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(ledger.directory)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        (theirs,) = ledger.runs(state=RunState.RUNNING)
        assert (theirs.pid, ledger.is_alive(theirs)) == (process.pid, True)
        assert not ledger.take_over(theirs)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not ledger.is_alive(theirs)
    assert ledger.take_over(theirs)


def test_runs_of_a_clock_that_was_ahead_count_as_of_now(ledger: Ledger, clock: HandSet) -> None:
    ledger.begin("before", "backup", entry="nightly", slot=SLOT)
    ledger.end("before", OK)
    clock.time = at("28 02:00")
    ledger.begin("ended", "backup", entry="nightly", slot=at("28 02:00"))
    ledger.end("ended", OK)
    ledger.begin("running", "backup", entry="nightly")
    clock.time = at("21 09:00")
    assert ledger.bring_back(clock()) == 2
    found = {run.id: (run.started, run.slot, run.ended) for run in ledger.runs()}
    assert found == {
        "before": (SLOT, SLOT, SLOT),
        "ended": (clock(), clock(), clock()),
        "running": (clock(), None, None),
    }
    assert ledger.bring_back(clock()) == 0


def test_what_is_old_is_forgotten_but_the_last_of_each_kind(ledger: Ledger, clock: HandSet) -> None:
    for day in range(1, 29):
        clock.time = at(f"{day:02} 02:00")
        for job in ("nightly", "hourly"):
            ledger.begin(f"{job} {day}", "backup", job=job, entry=job)
            ledger.end(f"{job} {day}", OK if day > 2 else Outcome(RunState.FAILED, 1))
    ledger.begin("running", "copy")
    assert ledger.forget(at("20 00:00")) == 2 * 18
    kept = {run.id for run in ledger.runs(job="nightly")}
    assert kept == {"nightly 2", *(f"nightly {day}" for day in range(20, 29))}
    assert ledger.forget(at("30 00:00")) == 2 * 8
    assert {run.id for run in ledger.runs(job="nightly")} == {"nightly 2", "nightly 28"}
    assert ledger.run("running") is not None


def test_pauses(ledger: Ledger, clock: HandSet) -> None:
    ledger.pause("nightly", at("21 06:00"), "alice", "a move")
    ledger.pause("clean", None, "bob", "")
    assert set(ledger.pauses()) == {"nightly", "clean"}
    clock.time = at("21 06:00")
    assert set(ledger.pauses()) == {"clean"}
    assert ledger.last_pauses()["nightly"].until == at("21 06:00")
    assert not ledger.resume("nightly")
    assert ledger.resume("clean")
    assert ledger.last_pauses()["clean"].until == clock()
    assert not ledger.pauses()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be used"):
        Ledger(tmp_path / "file")


def test_a_run_that_nobody_here_may_look_at_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with Ledger(tmp_path) as theirs:
        run = theirs.begin("theirs", "backup", job="nightly", entry="nightly")
    (tmp_path / "locks" / "theirs.run").unlink()
    (tmp_path / "locks" / "theirs.run").mkdir()  # may be opened by nobody, root included
    with Ledger(tmp_path) as ours, pytest.raises(StateError, match="cannot see whether a run is still alive") as caught:
        ours.is_alive(run)
    assert "chown" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what others own")
def test_what_root_runs_in_somebody_else_s_directory_can_be_looked_at_by_them(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    os.chown(tmp_path / "locks", 65534, 65534)
    with Ledger(tmp_path) as ledger:
        ledger.begin("root-s", "backup", job="nightly")
        assert (tmp_path / "locks" / "root-s.run").stat().st_uid == 65534

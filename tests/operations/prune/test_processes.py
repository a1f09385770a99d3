"""Prune beside processes that are stopped, suspended for long, or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from drtool.errors import LockedError
from drtool.operations.prune.collector import Collector
from drtool.operations.prune.planning import Rules
from drtool.operations.prune.predecessor import only_prune
from drtool.operations.prune.prune import Wishes
from drtool.repository.leases import Lease
from drtool.repository.liveness import Liveness
from drtool.repository.runs import Run
from drtool.repository.writer import ChunkWriter
from tests.operations.prune.acting import LEASE_SECONDS, save
from tests.operations.prune.shelves import clean, contents, packs, read_all, remove, stream
from tests.repository.builders import Made, backup

_PATIENCE = 60.0


@pytest.fixture
def used(made: Made, tmp_path: Path) -> Made:
    """A repository that holds what a removed snapshot alone needed, and what another one shares with it."""
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(30))])
        backup(agent, [stream([*range(0, 20, 9), 50])])
    remove(made, [first])
    save(made, tmp_path)
    return made


@contextlib.contextmanager
def stopped(root: Path, moment: str, *role: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has stopped itself at this moment; killed at the end, where it is still there."""
    command = [sys.executable, "-m", "tests.operations.prune.acting", str(root), moment, *role]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), "it ended before that moment"
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def renewed(lease: Lease) -> Iterator[None]:
    """Hold a lease that is renewed far more often than anybody looks, and looked at more often than usual."""
    with (
        mock.patch("drtool.repository.leases._RENEWALS_PER_TTL", 1200),
        mock.patch("drtool.repository.leases._LOOKS_PER_TTL", 300),
        lease,
    ):
        yield


def _go_on(process: subprocess.Popen[str]) -> tuple[int, str]:
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=_PATIENCE)
    return process.returncode, out.strip()


def _grow_old(made: Made, hours: float) -> None:
    """By the store's clock, the runs that are there were renewed so long ago."""
    then = time.time() - hours * 3600
    for info in made.storage.list("runs/"):
        os.utime(Path(made.storage.url, info.name), (then, then))


def _age_packs(made: Made) -> None:
    then = time.time() - 72 * 3600
    for name in packs(made):
        os.utime(Path(made.storage.url, name), (then, then))


def test_a_backup_that_goes_on_is_waited_for(used: Made, tmp_path: Path) -> None:
    _age_packs(used)
    with stopped(tmp_path, "put:snapshots/:1", "backup", "1", "2", "30") as process:
        before = packs(used)
        done = clean(used)
        assert [run.kind for run in done.waiting] == ["backup"]
        assert before <= packs(used)
        # However long it takes: whoever renews is alive.
        _grow_old(used, 23)
        assert clean(used).waiting
        assert _go_on(process) == (0, "")
    done = clean(used)
    assert not done.waiting
    assert done.swept.released or done.swept.made
    assert len(read_all(used)) == 2


def test_a_backup_that_slept_through_a_sweep_commits_nothing(used: Made, tmp_path: Path) -> None:
    _age_packs(used)
    with stopped(tmp_path, "put:packs/:1", "backup", "1", "2", "30", "60") as process:
        _grow_old(used, 25)
        before = packs(used)
        assert clean(used).swept.deleted
        assert before - packs(used)
        (tmp_path / "clock").write_text(str(13 * 3600.0))
        code, said = _go_on(process)
        assert (code, said) == (1, "run-expired")
    assert len(read_all(used)) == 1


def test_a_prune_that_was_killed_is_finished_by_the_next(used: Made, tmp_path: Path) -> None:
    before = read_all(used)
    with stopped(tmp_path, "delete:packs/:2", "prune") as process:
        assert read_all(used) == before
        process.kill()
        process.wait()
    done = clean(used)
    assert not done.waiting
    assert read_all(used) == before
    assert not list(used.storage.list("tombstones/"))
    assert not clean(used).plan.packs


def test_of_two_prunes_the_second_is_told(used: Made) -> None:
    with (
        closing(used.as_owner()) as owner,
        only_prune(owner.state.path.parent),
        pytest.raises(LockedError, match="on this host"),
    ):
        clean(used)


def test_a_prune_on_another_host_is_told_until_the_lease_is_dead(used: Made, tmp_path: Path) -> None:
    before = read_all(used)
    with stopped(tmp_path, "put:tombstones/:2", "prune") as process:
        # Nobody renews the lease. Its run still counts as alive: all the second can do is wait for it.
        done = clean(used, Wishes(lease_ttl=LEASE_SECONDS), host="elsewhere")
        assert [run.kind for run in done.waiting] == ["prune"]
        code, said = _go_on(process)
    assert (code, said) in {(0, ""), (11, "locked")}
    clean(used, host="elsewhere")
    assert read_all(used) == before


def test_what_a_killed_prune_left_is_known_also_after_one_that_was_turned_away(used: Made, tmp_path: Path) -> None:
    with stopped(tmp_path, "put:tombstones/:2", "prune") as process:
        process.kill()
        process.wait()
    lease = used.storage.get("leases/prune")
    with closing(used.as_owner("elsewhere")) as other:
        used.storage.delete("leases/prune")
        with renewed(Lease(other, "prune", owner="somebody")), pytest.raises(LockedError):
            clean(used)
    used.storage.put("leases/prune", lease)
    assert not clean(used).waiting


def test_a_lease_that_is_renewed_is_held(used: Made) -> None:
    with (
        closing(used.as_owner()) as owner,
        renewed(Lease(owner, "prune", owner="somebody")),
        pytest.raises(LockedError, match="leases/prune"),
    ):
        clean(used, host="elsewhere")


def test_a_host_with_an_old_index_stores_anew_what_went(used: Made) -> None:
    with closing(used.as_agent()) as agent:  # its cache knows all that was deleted
        clean(used)
        backup(agent, [stream(range(40))])
    assert len(read_all(used)) == 2


def test_a_restore_that_began_before_a_sweep_reads_on(used: Made) -> None:
    with closing(used.as_owner("reader")) as reader:
        reader.refresh_index()
        expected = contents(reader)
        done = clean(used)
        assert done.swept.made
        assert contents(reader) == expected


def test_a_registered_restore_is_waited_for(used: Made) -> None:
    with closing(used.as_owner("reader")) as reader, Run(reader, "restore"):
        _age_packs(used)
        done = clean(used)
        assert [run.kind for run in done.waiting] == ["restore"]
        assert not done.swept.deleted


def test_waiting_ends_when_the_run_does(used: Made) -> None:
    _age_packs(used)
    with closing(used.as_owner("reader")) as reader:
        run = Run(reader, "restore")
        run.__enter__()
        timer = threading.Timer(0.2, lambda: run.__exit__(None, None, None))
        timer.start()
        done = clean(used, Wishes(wait=_PATIENCE, look_seconds=0.05))
        timer.join()
    assert done.swept.deleted
    assert not done.waiting


def test_who_knows_what_is_marked_is_not_waited_for(used: Made, tmp_path: Path) -> None:
    """As an archive of the log is: its runs follow each other, so that there is always one."""
    _age_packs(used)
    with closing(used.as_owner("reader")) as reader, closing(used.as_agent("capture")) as agent:
        with Run(reader, "restore"):
            assert clean(used).waiting
        with Run(agent, "capture") as run, closing(ChunkWriter(agent)) as writer:
            run.keep_clear(writer.seen)
            done = clean(used)
    assert done.swept.deleted
    assert not done.waiting


def test_waiting_is_for_who_was_there_at_first(used: Made) -> None:
    _age_packs(used)
    with closing(used.as_owner("reader")) as reader, closing(used.as_owner()) as owner, Run(owner, "prune") as own:
        liveness = Liveness(owner)
        collector = Collector(owner, own, liveness, Rules())
        collector.prepare()
        collector.mark()
        with Run(reader, "restore") as first:
            assert [run.name for run in collector.waiting_for()] == [first.name]
        with Run(reader, "restore"):
            assert not collector.waiting_for()
        liveness.close()

"""The operator's commands: their end, their output, their time limit, and all that they started."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.config.masking import MASKER
from drtool.errors import HookError, SkippedError
from drtool.operations.unattended.attending import hooks
from drtool.operations.unattended.attending.hooks import AFTER, BEFORE, HEAD, TAIL, HookDone, run_hook, run_hooks
from tests.operations.unattended.attended_host import python

ENVIRONMENT = {"PATH": os.environ["PATH"]}
LONG = 300.0


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    MASKER.start_over({})
    yield
    MASKER.start_over({})


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "GRACE", 0.2)


def run(code: str, limit: float = LONG) -> HookDone:
    return run_hook(BEFORE, python(code), ENVIRONMENT, limit)


def is_alive(pid: int) -> bool:
    """Does the process run? One that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    for _ in range(3000):
        if not is_alive(pid):
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")


def test_what_it_says_is_kept_from_both_streams() -> None:
    done = run("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(7)")
    assert (done.exit_code, done.output) == (7, "out\nerr")


def test_it_reads_nothing_and_is_given_its_environment_only() -> None:
    done = run("import os, sys; print(repr(sys.stdin.read()), sorted(set(os.environ) - {'LC_CTYPE'}))")
    assert done.output == "'' ['PATH']"


def test_no_shell_looks_at_the_arguments() -> None:
    done = run_hook(BEFORE, [*python("import sys; print(sys.argv[1:])"), "$HOME; a b", "*"], ENVIRONMENT, LONG)
    assert done.output == "['$HOME; a b', '*']"


def test_of_much_output_the_beginning_and_the_end_are_kept() -> None:
    done = run("print('begin'); [print('word', n) for n in range(100_000)]; print('end')")
    assert done.output.startswith("begin\nword 0\n")
    assert done.output.endswith("word 99999\nend")
    assert len(done.output) < HEAD + TAIL + 100
    assert "bytes left out" in done.output


def test_no_secret_is_cut_in_two() -> None:
    MASKER.add("hunter22hunter22")
    for offset in range(0, 40, 8):
        done = run(f"print('{'x ' * (HEAD // 2 - 10)}' + 'y' * {offset} + ' hunter22hunter22 ' + 'z ' * 5000)")
        assert "hunter" not in done.output
        assert "nter22" not in done.output


def test_output_is_masked() -> None:
    MASKER.add("mongodb://u:hunter22@h/db")
    assert run("print('mongodb://u:hunter22@h/db', 'hunter22')").output == "*** ***"


def test_one_that_takes_too_long_is_ended() -> None:
    done = run_hook(BEFORE, ["sleep", "600"], ENVIRONMENT, limit=0.1)
    assert done.exit_code is None
    with pytest.raises(HookError, match=r"sleep took longer than 0.1 s and was ended"):
        run_hooks(BEFORE, [["sleep", "600"]], ENVIRONMENT, 0.1, lambda _done: None)


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


def test_it_is_ended_with_what_it_started_where_drtool_is_stopped(tmp_path: Path, short_grace: None) -> None:
    pids = tmp_path / "pids"

    def stop() -> None:
        while not pids.exists():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(KeyboardInterrupt):
        run_hook(BEFORE, [*python(STUBBORN), str(pids)], ENVIRONMENT, LONG)
    stopper.join()
    for pid in map(int, pids.read_text().split()):
        wait_until_gone(pid)


def test_what_it_leaves_running_is_not_waited_for() -> None:
    code = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid)
"""
    done = run(code)
    pid = int(done.output)
    try:
        assert done.exit_code == 0
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_one_after_the_other_until_one_fails() -> None:
    told: list[HookDone] = []
    with pytest.raises(HookError, match=r"hook before: python\S* exited with 3: no such disk"):
        run_hooks(
            BEFORE,
            [python("print('one')"), python("print('no such disk'); exit(3)"), python("print('never')")],
            ENVIRONMENT,
            LONG,
            told.append,
        )
    assert [done.output for done in told] == ["one", "no such disk"]
    assert told[1].as_figures()["exit_code"] == 3


def test_75_skips_where_it_comes_before() -> None:
    skips = [python("print('on battery'); exit(75)")]
    with pytest.raises(SkippedError, match="asks to skip this run: on battery"):
        run_hooks(BEFORE, skips, ENVIRONMENT, LONG, lambda _done: None)
    with pytest.raises(HookError, match="exited with 75"):
        run_hooks(AFTER, skips, ENVIRONMENT, LONG, lambda _done: None)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/program"], "cannot start program: No such file or directory"),
        (["/etc/passwd"], "cannot start passwd: Permission denied"),
        (["true", "a\0b"], "cannot start true: an argument holds"),
        (python("import os; os.kill(os.getpid(), 9)"), "was ended by SIGKILL"),
    ],
)
def test_one_that_cannot_do_its_work(command: list[str], said: str) -> None:
    with pytest.raises(HookError, match=said):
        run_hooks(BEFORE, [command], ENVIRONMENT, LONG, lambda _done: None)

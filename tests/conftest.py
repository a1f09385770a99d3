"""What all tests share: files in memory, signals that count, hypothesis without clocks, no silent skips in CI."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_IN_MEMORY = Path("/dev/shm")
#: What the whole suite needs at a time, with room to spare (bytes): servers' files, and what they are backed up to.
_ENOUGH = 8_000_000_000


def _use_memory() -> None:
    """Put temporary files there, where there is much of it: a third of the suite's time is waiting for the disk.

    What it shows is the same: processes are killed, not machines. Whoever sets TMPDIR decides.
    """
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK):
        return
    room = os.statvfs(_IN_MEMORY)
    told = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    if room.f_bavail * room.f_frsize >= _ENOUGH and told is not None and int(told[1]) * 1024 >= _ENOUGH:
        os.environ["TMPDIR"] = str(_IN_MEMORY)  # before anybody asks tempfile; the workers of a run inherit it


_use_memory()

#: Rooms whose tests are all heavy. Where others run, nobody looks at their modules: the engines may be missing.
_HEAVY = {f"{Path(__file__).parent}/sources/{kind}" for kind in ("chroma", "lancedb", "milvus")}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the heavy rooms alone unless heavy tests are asked for."""
    is_heavy = str(collection_path) in _HEAVY
    return True if is_heavy and config.getoption("markexpr") == "not heavy" else None


# A shell starts what runs in the background with SIGINT ignored, and so would be the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup has SIGHUP ignored, likewise.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says something about the machine, not about the code. Half as many as usual: most examples
# here read and write files, and each run draws others.
settings.register_profile("drtool", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("drtool")


@pytest.fixture(scope="session", autouse=True)
def _no_state_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What drtool notes in the default state directory is not left in that of whoever runs the tests."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state-home"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``DRTOOL_CI``, a skipped test fails the session: there, everything that tests need is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(session.config, "workerinput")
    if os.environ.get("DRTOOL_CI") and reporter is not None and not is_worker:
        skipped = reporter.stats.get("skipped", [])
        if skipped and session.exitstatus == pytest.ExitCode.OK:
            reporter.write_line(f"\n{len(skipped)} skipped: with DRTOOL_CI set, that is a failure", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

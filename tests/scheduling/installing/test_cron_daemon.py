"""A real cron daemon fires what drtool installed, and a backup comes of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.operations.init import init
from drtool.operations.unattended.attending.records import ledger_of
from drtool.scheduling.entries import entries_of
from drtool.scheduling.installing.finding import cron_runs
from drtool.scheduling.ledger import RunRecord, RunState
from drtool.scheduling.standings import acquaint
from drtool.storage.locate import open_storage
from tests.cli.running import ROOT, drtool, environment

pytestmark = pytest.mark.heavy

_SCRIPT = Path(__file__).with_name("cron_host.sh")
_CRONTABS = Path("/var/spool/cron/crontabs")
_SECONDS = 300
#: With mounts of its own, and with its own processes, none of which outlives the script.
_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
_TEXT = """\
repository: {{url: {0}/repo, agent_key: {{file: agent.key}}, state_dir: state, cache_dir: cache}}
sources: {{code: {{type: files, paths: [{0}/tree]}}}}
jobs: {{nightly: {{sources: [code], schedule: "* * * * *", timezone: UTC}}}}
"""


@pytest.fixture
def faketime() -> Path:
    """The library, where everything else is there as well."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not (found and shutil.which("cron") and shutil.which("crontab")):
        pytest.skip("cron and libfaketime are not installed")
    return found[0]


@pytest.fixture
def host() -> list[str]:
    """The command that runs the script, but for its arguments, and the last of those.

    A container may have no mounts of its own; there, continuous integration (a machine to be thrown away) has the test
    use the machine's crontabs, if it has none.
    """
    script = ["sh", str(_SCRIPT)]
    if os.geteuid() == 0 and subprocess.run([*_APART, "true"], check=False).returncode == 0:
        return [*_APART, *script, "apart"]
    has_none = os.geteuid() == 0 and not any(_CRONTABS.iterdir()) and cron_runs() is False
    if not (has_none and os.environ.get("DRTOOL_CI")):
        pytest.skip("only root can give cron crontabs of its own (unshare)")
    return [*script, "here"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A host with a tree of files, in a directory whose name a shell and cron would take apart."""
    directory = tmp_path / "it's 100% a host"
    (directory / "tree").mkdir(parents=True)
    (directory / "tree" / "file").write_text("content", encoding="utf-8")
    with contextlib.closing(open_storage(str(directory / "repo"))) as storage:
        init(storage, agent_key=directory / "agent.key", identity=directory / "identity.key")
    (directory / "drtool.yaml").write_text(_TEXT.format(directory), encoding="utf-8")
    return load_config(directory / "drtool.yaml")


@contextlib.contextmanager
def _cron(config: Config, directory: Path, host: Sequence[str], faketime: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The host's cron, from the installation of drtool until the block ends; then drtool is removed."""
    program = Path(sys.executable).parent / "drtool"
    *script, where = host
    command = [*script, str(directory), str(config.path), str(program), str(faketime), where]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(_SECONDS)


def _first_run(config: Config, host: subprocess.Popen[bytes]) -> RunRecord:
    """Of the job, once it has ended."""
    until = time.monotonic() + _SECONDS
    with ledger_of(config) as ledger:
        while time.monotonic() < until:
            assert host.poll() is None, "the host ended"
            ended = [run for run in ledger.runs(entry="nightly") if run.state is not RunState.RUNNING]
            if ended:
                return ended[-1]
            time.sleep(0.1)
    raise AssertionError("cron started nothing")


def test_cron_fires_a_backup(config: Config, host: list[str], faketime: Path, tmp_path: Path) -> None:
    with ledger_of(config) as ledger:  # a schedule that is seen for the first time begins with its next slot
        acquaint(ledger, entries_of(config), datetime.now(UTC) - timedelta(minutes=2))
    with _cron(config, tmp_path, host, faketime) as process:
        run = _first_run(config, process)
    assert process.returncode == 0
    assert (run.state, run.job, run.message) == (RunState.OK, "nightly", "")
    [snapshot, *_] = drtool("--config", str(config.path), "--json", "snapshots").lines
    assert snapshot["job"] == "nightly"
    before, installed, after = ((tmp_path / name).read_text("utf-8") for name in ("before", "installed", "after"))
    assert installed.startswith(before)
    assert f"# >>> drtool {config.path} >>>" in installed
    assert after == before

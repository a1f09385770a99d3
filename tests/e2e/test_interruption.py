"""Runs that are stopped, killed or suspended at every stage: what was committed stays, the next run goes on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drtool.repository.index import decode_entry
from drtool.repository.wire import Cursor
from tests.cli.running import ROOT, command, environment
from tests.operations.site import Site, fill, hashes, small_packs
from tests.servers.process import wait_until
from tests.sources.mongo import Client, unique_database

pytestmark = pytest.mark.heavy

MEGABYTES = 7  # about as many packs


@pytest.fixture(scope="module")
def filled(client: Client) -> Iterator[str]:
    """A database that no test changes."""
    name = unique_database(client)
    fill(client, name, megabytes=MEGABYTES, collections=3)
    yield name
    for found in client.list_database_names():
        if found.startswith(name):
            client.drop_database(found)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, uri: str, client: Client, filled: str) -> Site:
    """A host with one committed snapshot, of another database."""
    directory = tmp_path_factory.mktemp("origin")
    site = Site(directory, uri, {"nightly": (filled,), "small": (f"{filled}_small",)}).set_up()
    fill(client, f"{filled}_small")
    site.backup("small")
    return site


@pytest.fixture
def host(origin: Site, tmp_path: Path) -> Site:
    """A copy of it."""
    return origin.copied(tmp_path / "host")


@contextmanager
def halted(site: Site, moment: str, *arguments: str, helped: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A run that has stopped itself at a moment."""
    process = subprocess.Popen(
        command(moment, "--config", str(site.config), "--json", *arguments, module="tests.e2e.halting"),
        cwd=ROOT,
        env=environment({"HELPED": "1"} if helped else None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    status = Path(f"/proc/{process.pid}/stat")
    try:
        wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] in "TZ", f"the run to come to {moment}")
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def _lying(host: Site) -> int:
    """How many bytes of packs there are."""
    return sum(path.stat().st_size for path in host.objects("packs"))


def _orphaned(host: Site) -> int:
    """How many bytes of packs nobody knows of: those that were on their way when a run was killed."""
    with host.opened() as repository:
        noted = {decode_entry(Cursor(entry, "")).sha256 for entry in repository.state.noted_packs()}
        known = noted | {sha256 for sha256, _ in repository.cache.packs()}
    return sum(path.stat().st_size for path in host.objects("packs") if bytes.fromhex(path.name) not in known)


def _check_then_go_on(host: Site, client: Client, filled: str, committed: int) -> None:
    """What was committed is whole; the next backup succeeds, and stores only what nobody had stored."""
    orphaned = _orphaned(host)
    assert len(host.snapshots()) == committed
    assert all(line["ok"] for line in host.ok("verify", "--level", "readable")[:-1])
    with small_packs():
        host.backup("nightly")
    assert len(host.snapshots()) == committed + 1
    assert host.ok("verify", "nightly@latest", "--level", "readable")[0]["ok"]
    host.ok("restore", "nightly@latest", "--rename", f"{filled}={filled}_back")
    assert hashes(client, f"{filled}_back") == hashes(client, filled)
    client.drop_database(f"{filled}_back")
    assert _lying(host) - orphaned <= (MEGABYTES + 0.5) * 1_000_000


@pytest.mark.parametrize(
    "moment",
    [
        "after:runs/:1",
        "before:packs/:1",
        "after:packs/:1",
        "after:packs/:3",
        "before:index/:2",
        "after:index/:2",
        "before:snapshots/:1",
    ],
)
def test_killed(host: Site, client: Client, filled: str, moment: str) -> None:
    with halted(host, moment, "backup", "nightly") as process:
        process.kill()
        process.communicate()
    _check_then_go_on(host, client, filled, committed=1)


@pytest.mark.parametrize("moment", ["before:packs/:1", "after:packs/:3", "after:index/:2", "before:snapshots/:1"])
def test_killed_while_helpers_read(host: Site, client: Client, filled: str, moment: str) -> None:
    with halted(host, moment, "backup", "nightly", helped=True) as process:
        process.kill()
        process.communicate()
    _check_then_go_on(host, client, filled, committed=1)


def test_killed_after_the_commit(host: Site, client: Client, filled: str) -> None:
    with halted(host, "after:snapshots/:1", "backup", "nightly") as process:
        process.kill()
        process.communicate()
    _check_then_go_on(host, client, filled, committed=2)


def test_killed_again_and_again(host: Site, client: Client, filled: str) -> None:
    for moment in ("after:packs/:2", "before:index/:1", "after:packs/:1", "after:index/:1"):
        with halted(host, moment, "backup", "nightly") as process:
            process.kill()
            process.communicate()
    _check_then_go_on(host, client, filled, committed=1)


@pytest.mark.parametrize("helped", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_good_order(host: Site, client: Client, filled: str, number: signal.Signals, helped: bool) -> None:
    with halted(host, "after:packs/:2", "backup", "nightly", helped=helped) as process:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert '"kind": "interrupted-run"' in out
    assert "what was already uploaded is reused" in err
    # What had been read was stored and indexed on the way out.
    _check_then_go_on(host, client, filled, committed=1)


def test_suspended_for_a_while(host: Site, filled: str) -> None:
    with halted(host, "after:packs/:2", "backup", "nightly") as process:
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert host.ok("verify", "nightly@latest", "--level", "readable")[0]["ok"]


def test_another_run_of_the_job_meanwhile(host: Site, filled: str) -> None:
    # Just before the commit, when it holds no lock of SQLite's.
    with halted(host, "before:snapshots/:1", "backup", "nightly") as process:
        ended = host.drtool("backup", "nightly")
        assert (ended.code, str(process.pid) in ended.result["error"]["message"]) == (11, True)
        assert host.drtool("backup", "small").code == 0
    assert host.drtool("backup", "nightly").code == 0


@pytest.fixture
def taken(host: Site) -> Site:
    """A host with a snapshot of `filled`."""
    with small_packs():
        host.backup("nightly")
    return host


def test_a_restore_that_is_killed(taken: Site, client: Client, filled: str) -> None:
    before = hashes(client, filled)
    rename = ("--rename", f"{filled}={filled}_r")
    with halted(taken, "load:2", "restore", "nightly@latest", *rename) as process:
        process.kill()
        process.communicate()
    assert hashes(client, filled) == before
    assert f"{filled}_r" in client.list_database_names()
    # Another name is free; the same one is recognised as one's own work; another snapshot does not go there.
    taken.ok("restore", "nightly@latest", "--rename", f"{filled}={filled}_s")
    assert hashes(client, f"{filled}_s") == before
    foreign = taken.drtool("restore", "small@latest", "--rename", f"{filled}_small={filled}_r")
    assert foreign.code == 20
    taken.ok("restore", "nightly@latest", *rename)
    assert hashes(client, f"{filled}_r") == before
    for name in ("r", "s"):
        client.drop_database(f"{filled}_{name}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_restore_that_is_stopped(taken: Site, client: Client, filled: str, number: signal.Signals) -> None:
    rename = ("--rename", f"{filled}={filled}_r")
    with halted(taken, "load:2", "restore", "nightly@latest", *rename) as process:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert taken.ok("restore", "nightly@latest", *rename)[-1]["records"] > 0
    assert hashes(client, f"{filled}_r") == hashes(client, filled)
    client.drop_database(f"{filled}_r")

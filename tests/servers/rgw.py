"""Ceph's RGW on loopback: one monitor and one OSD that keeps everything in memory, no manager, no authentication
among them. Needs Debian's packages radosgw, ceph-mon, ceph-osd and ceph-common.

Ends in the reverse order of its start: a gateway without a monitor takes minutes to give up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import free_port, running
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin", "monmaptool")
#: Seconds for a command that talks to the cluster.
PATIENCE = 60
#: How often it is tried to start it.
ATTEMPTS = 3
#: Who owns the buckets that tests make; its keys are those of all S3 servers of the tests.
OWNER = "owner"


@dataclass(frozen=True)
class Gateway:
    """A gateway at 127.0.0.1:`port`, and a way to make users of it."""

    port: int
    config: Path

    def make_user(self, name: str) -> tuple[str, str]:
        """A new user, who may do nothing with the buckets of others: access key and secret key."""
        made = self._admin("user", "create", f"--uid={name}", f"--display-name={name}")
        keys = json.loads(made)["keys"][0]
        return keys["access_key"], keys["secret_key"]

    def make_owner(self) -> None:
        """The user whose keys are `ACCESS_KEY` and `SECRET_KEY`."""
        keys = (f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
        self._admin("user", "create", f"--uid={OWNER}", "--display-name=owner", *keys)

    def _admin(self, *arguments: str) -> str:
        return _run("radosgw-admin", "-c", str(self.config), *arguments)


def missing_programs() -> list[str]:
    """Those that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def rgw_gateway() -> Iterator[Gateway]:
    """Start one; anew where it ends at once, because a port that was free had been taken before it was used."""
    with ExitStack() as stack:
        yield _entered(stack)


def _entered(stack: ExitStack) -> Gateway:
    for _ in range(ATTEMPTS - 1):
        with suppress(RuntimeError):
            return stack.enter_context(_gateway())
    return stack.enter_context(_gateway())


@contextmanager
def _gateway() -> Iterator[Gateway]:
    """Its directory has a short path of its own: it holds sockets."""
    with tempfile.TemporaryDirectory(prefix="drtool-rgw-") as directory, _started(Path(directory)) as gateway:
        gateway.make_owner()
        yield gateway


@contextmanager
def _started(directory: Path) -> Iterator[Gateway]:
    monitor, port = free_port(), free_port()
    config = directory / "ceph.conf"
    fsid = str(uuid.uuid4())
    config.write_text(_CONFIG.format(directory=directory, fsid=fsid, monitor=monitor, port=port))
    for name in ("mon", "osd", "rgw"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        _start_monitor(stack, directory, config, fsid, monitor)
        _start_osd(stack, directory, config)
        command = ["radosgw", "-c", str(config), "-n", "client.rgw", "-f"]
        stack.enter_context(running(command, lambda: _answers(port), directory / "rgw.out"))
        yield Gateway(port, config)


def _start_monitor(stack: ExitStack, directory: Path, config: Path, fsid: str, port: int) -> None:
    monmap = directory / "monmap"
    _run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{port}/0]", "--fsid", fsid, str(monmap))
    command = ["ceph-mon", "-c", str(config), "-i", "a"]
    _run(*command, "--mkfs", "--monmap", str(monmap))
    stack.enter_context(running([*command, "-f"], (directory / "mon.a.asok").exists, directory / "mon.out"))


def _start_osd(stack: ExitStack, directory: Path, config: Path) -> None:
    id_ = str(uuid.uuid4())
    _run("ceph", "-c", str(config), "--connect-timeout", str(PATIENCE), "osd", "new", id_)
    command = ["ceph-osd", "-c", str(config), "-i", "0"]
    _run(*command, "--mkfs", "--osd-uuid", id_)
    # The gateway waits for it to be up.
    stack.enter_context(running([*command, "-f"], (directory / "osd.0.asok").exists, directory / "osd.out"))


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


_CONFIG = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {directory}
admin socket = {directory}/$name.asok
log file = {directory}/$name.log
crash dir = {directory}
mon data = {directory}/mon
osd data = {directory}/osd
rgw data = {directory}/rgw
# The gateway makes its pools one after the other, and each waits for the monitor to agree with itself.
paxos propose interval = 0.01
paxos min wait = 0.005
# A disk that is nearly full is no business of a cluster in memory.
mon data avail warn = 0
mon data avail crit = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
rgw frontends = beast endpoint=127.0.0.1:{port}
# Many small threads of a gateway for one test process cost more than they bring.
rgw thread pool size = 32
"""

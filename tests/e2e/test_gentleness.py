"""A backup that is stopped with Ctrl-C or killed leaves no cursor; on a server of its own."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.e2e.test_interruption import halted
from tests.operations.site import Site, connect
from tests.servers.process import wait_until
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy

RECORDS = 15_000
SIZE = 2000


@pytest.fixture
def server() -> Iterator[Server]:
    """A replica set of one node, with a database ``slow``."""
    chance = random.Random(1)
    with running(find_mongod(), ServerOptions(replica_set="gentle")) as found:
        with connect(found.uri) as client:
            for start in range(0, RECORDS, 5000):
                records = [{"_id": start + each, "x": chance.randbytes(SIZE)} for each in range(5000)]
                client["slow"]["c"].insert_many(records)
        yield found


def open_cursors(client: Client) -> int:
    return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])


def test_stopped_while_it_reads_slowly(server: Server, tmp_path: Path) -> None:
    site = Site(tmp_path, server.uri, {"nightly": ("slow",)}).set_up()
    content = yaml.safe_load(site.config.read_text())
    # what is left after the first pack would take longer than the test waits for the run to end
    content["sources"]["nightly"]["bandwidth"] = "1 MB"
    site.config.write_text(yaml.safe_dump(content))
    with connect(server.uri) as client, halted(site, "after:packs/:1", "backup", "nightly") as process:
        assert open_cursors(client) == 1
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, out + err
        wait_until(lambda: open_cursors(client) == 0, "the server to have no cursor open")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_helpers_read(server: Server, tmp_path: Path, number: signal.Signals) -> None:
    # Two of them hold 12 MB of the 60 while nobody stores any.
    site = Site(tmp_path, server.uri, {"nightly": ("slow",)}).set_up()
    with connect(server.uri) as client:
        client["slow"]["c"].aggregate([{"$out": "d"}])
    with (
        connect(server.uri) as client,
        halted(site, "after:packs/:1", "backup", "nightly", helped=True) as process,
    ):
        helpers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(helpers) == 2
        assert open_cursors(client) == 2
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL), out + err
        wait_until(lambda: open_cursors(client) == 0, "the server to have no cursor open")
        wait_until(lambda: not any(Path("/proc", each).exists() for each in helpers), "the helpers to end")
    site.backup()

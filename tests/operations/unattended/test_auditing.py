"""The audit log end to end: what is told of commands, what the repository gets, and what ``audit verify`` finds."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from drtool.config.loading import load_config
from drtool.errors import UnreachableError
from drtool.operations.opening import repository_of
from drtool.operations.unattended.auditing.entries import Deed, Result, masked
from drtool.operations.unattended.auditing.place import Place
from drtool.operations.unattended.auditing.recording import audited_seldom
from tests.cli.running import command, environment
from tests.operations.unattended.host import Host


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host that has backed up twice, once by a schedule; beside it, a copy of all that."""
    directory = tmp_path_factory.mktemp("audit")
    host = Host(directory / "now" / "host", directory / "now" / "store").set_up()
    host.ok("backup")
    assert host.drtool("backup", env={"DRTOOL_SCHEDULE": "nightly", "SSH_CLIENT": "192.0.2.7 5555 22"}).code == 0
    shutil.copytree(directory / "now", directory / "then")
    return directory


@pytest.fixture
def host(template: Path) -> Host:
    """That host as it was then: in its place, because the log is known by the repository's address."""
    shutil.rmtree(template / "now")
    shutil.copytree(template / "then", template / "now")
    return Host(template / "now" / "host", template / "now" / "store")


def _lines(host: Host) -> list[bytes]:
    return host.audit_file.read_bytes().splitlines(keepends=True)


def test_what_is_told_of_a_command(host: Host) -> None:
    init, first, second = host.told()
    assert [one["command"] for one in (init, first, second)] == ["init", "backup", "backup"]
    [snapshot, other] = [line["snapshot"] for line in host.ok("snapshots")[:-1]]
    assert (first["result"]["snapshots"], second["result"]["snapshots"]) == ([snapshot], [other])
    assert (first["state"], first["exit_code"], first["kind"]) == ("ok", 0, "")
    assert (second["who"]["by"], second["where"]["ssh"]) == ("schedule nightly", "192.0.2.7")
    assert second["who"]["uid"] == os.geteuid()
    assert init["config"]["path"] == str(host.config)
    assert "--identity-out" in init["arguments"]
    assert host.findings(code=0) == set()


def test_a_command_that_fails_and_one_that_only_reads(host: Host) -> None:
    before = len(host.told())
    assert host.drtool("restore", "nosuch").code == 10
    host.ok("snapshots")
    host.ok("backup", "--dry-run")
    host.ok("verify", "--level", "listed")
    [told] = host.told()[before:]
    assert (told["command"], told["state"], told["exit_code"], told["kind"]) == (
        "restore",
        "failed",
        10,
        "no-such-snapshot",
    )
    host.ok("verify", "--level", "readable")
    assert host.commands("--command", "verify") == [("verify", "ok")]
    assert host.commands("--since", "2999-01-01T00:00:00Z") == []
    assert len(host.told("--since", "1h")) == before + 2


def test_nothing_is_asked_for_in_vain(host: Host) -> None:
    assert host.drtool("audit", "show", "--since", "yesterday").code == 2


def test_a_command_that_is_killed_has_no_end(host: Host) -> None:
    pipe, path = host.directory / "pipe", host.audit_file
    os.mkfifo(pipe)
    begun = len(_lines(host)) + 1
    waits = command("--config", str(host.config), "key", "escrow", "--passphrase-file", str(pipe))
    process = subprocess.Popen(waits, env=environment(), stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and len(path.read_bytes().splitlines()) < begun:
            time.sleep(0.02)
        assert process.poll() is None
        assert host.commands()[-1] == ("key escrow", "running")
    finally:
        process.kill()
        process.wait()
    assert host.commands()[-1] == ("key escrow", "no-end")
    assert host.findings(code=0) == set()


def test_a_command_does_not_fail_for_what_cannot_be_uploaded(host: Host) -> None:
    lock = host.audit_file.with_name("audit-upload.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    ended = host.drtool("backup")
    assert ended.code == 0
    assert "the repository has not got the newest entries of the audit log" in ended.err
    lock.rmdir()
    host.ok("backup")
    assert host.commands("--repository") == host.commands()


def test_the_repository_has_what_the_host_has(host: Host) -> None:
    assert host.commands("--repository") == host.commands()
    ended = host.drtool("audit", "verify")
    here, there = [line for line in ended.lines if line["type"] == "audit_log"]
    assert (here["place"], here["entries"], here["ok"]) == ("host", 6, True)
    assert (there["place"], there["entries"], there["ok"], there["log"]) == ("repository", 6, True, here["log"])


def test_what_could_not_be_uploaded_goes_with_the_next(host: Host) -> None:
    count = len(host.parts())
    store = host.store.rename(host.store.with_name("away"))
    assert host.drtool("backup").code == 1
    store.rename(host.store)
    assert len(host.parts()) == count
    host.ok("backup")
    assert host.commands("--repository") == host.commands()
    assert host.commands()[-2:] == [("backup", "failed"), ("backup", "ok")]


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda lines: lines[:-1], {"cut"}),
        (lambda lines: lines[:2] + lines[4:], {"missing"}),
        (lambda lines: [*lines[:2], lines[2].replace(b'"backup"', b'"verify"'), *lines[3:]], {"altered", "differs"}),
        (lambda lines: [*lines[:-1], lines[-1].replace(b'"exit_code":0', b'"exit_code":1')], {"altered", "differs"}),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], {"missing", "foreign"}),
        (lambda lines: [*lines[:3], *lines[1:]], {"foreign"}),
        (lambda _: [], {"cut"}),
    ],
    ids=["end", "middle", "edited", "last-edited", "swapped", "repeated", "emptied"],
)
def test_a_file_that_was_tampered_with(host: Host, harm: object, found: set[str]) -> None:
    assert callable(harm)
    host.audit_file.write_bytes(b"".join(harm(_lines(host))))
    assert host.findings() == found
    assert host.findings("--local") == found - {"differs"}


def test_a_log_that_was_begun_anew(host: Host) -> None:
    """By somebody who removed the file and what this host remembers of it: only the repository knows."""
    for path in host.audit_file.parent.glob("audit.*"):
        path.unlink()
    assert host.findings("--local", code=0) == set()
    assert host.findings() == {"replaced"}
    host.ok("backup")
    assert host.findings() == {"replaced"}
    assert len(host.commands("--repository")) == 4


def test_what_the_repository_lacks(host: Host) -> None:
    first, second = host.parts()
    taken = second.read_bytes()
    second.unlink()
    assert {"cut-in-repository", "rolled-back"} <= host.findings()
    second.write_bytes(taken)
    assert host.findings(code=0) == set()
    first.unlink()
    assert {"missing", "missing-object"} <= host.findings()
    first.write_bytes(b"garbage")
    assert {"missing", "damaged-object"} <= host.findings()


def test_what_is_known_and_explained_is_no_news(host: Host) -> None:
    host.audit_file.write_bytes(b"".join(_lines(host)[:-2]))
    host.ok("backup")
    assert host.findings() == {"missing"}
    assert host.findings("--accept", "the disk was full", code=0) == set()
    assert host.findings(code=0) == set()
    [told] = host.told("--command", "audit")
    assert told["arguments"] == ["--accept", "the disk was full"]
    host.audit_file.write_bytes(b"".join(_lines(host)[:-1]))
    assert "cut" in host.findings()


def test_another_host_and_a_key_of_its_own(host: Host, tmp_path: Path) -> None:
    """A host with the identity alone signs with the verifier's key; each sees the other's log in the repository."""
    other = Host(tmp_path / "restoring", host.store)
    (other.directory / "code").mkdir(parents=True)
    shutil.copy(host.directory / "identity.key", other.directory)
    other.write_config()
    content = yaml.safe_load(other.config.read_text())
    del content["repository"]["agent_key"]
    other.config.write_text(yaml.safe_dump(content))
    other.ok("restore", "latest", "--to", str(tmp_path / "back"))
    assert other.findings(code=0) == set()
    assert host.findings(code=0) == set()
    assert other.commands() == [("restore", "ok")]
    assert host.commands("--repository") == [*host.commands(), ("restore", "ok")]


def test_a_log_that_cannot_be_written_refuses_nothing(host: Host, tmp_path: Path) -> None:
    path = host.audit_file
    path.unlink()
    path.mkdir()
    ended = host.drtool("restore", "latest", "--to", str(tmp_path / "back"))
    assert ended.code == 0
    assert ended.err.count("warning: ") == 1
    assert "not in the audit log: restore (begun)" in ended.err


def test_a_revoked_signer(host: Host) -> None:
    host.ok("key", "revoke", next(line for line in host.ok("key", "list") if line["type"] == "signer")["name"])
    assert host.findings(code=0) == set()
    assert host.drtool("backup").code != 0
    assert host.commands()[-1] == ("backup", "failed")
    assert host.findings(code=0) == set()


def test_no_secret_is_kept(host: Host, tmp_path: Path) -> None:
    address = "mongodb://joe:s3cr:t/word@db.example.org/?authSource=x&tlsCertificateKeyFilePassword=hunter2"
    host.drtool("restore", "latest", "--to", f"nightly={address}", "--to", "postgresql://ann:q%40x@h/?password=pw9")
    kept = host.audit_file.read_text() + json.dumps(host.told("--repository"))
    for secret in ("s3cr", "word@", "hunter2", "q%40x", "pw9"):
        assert secret not in kept
    assert "db.example.org" in kept


def test_an_entry_that_is_too_long_is_kept_without_what_is(host: Host) -> None:
    assert host.drtool("protect", "latest", "--reason", "\N{SNOWMAN}" * 5000).code == 0
    assert host.drtool("backup", *("\N{SNOWMAN}" * 500 for _ in range(60))).code == 2
    first, second = host.told()[-2:]
    assert second["arguments"] == ["left out: too long"]
    assert first["arguments"][:2] == ["latest", "--reason"]
    assert host.findings(code=0) == set()


def test_what_happens_all_the_time_is_told_seldom(host: Host, tmp_path: Path) -> None:
    config = load_config(host.config)
    place = Place.of(config)
    moments = [datetime(2999, 8, 1, tzinfo=UTC)]
    warnings: list[str] = []

    def capture(facts: dict[str, int], exit_code: int = 0) -> int:
        """How many entries there are afterwards."""

        def result(error: BaseException | None) -> Result:
            assert (error is None) == (exit_code == 0)
            return Result(exit_code, "unreachable" if exit_code else "", facts)

        deed = Deed("pitr capture", ["app"], f"run-{moments[0]:%H%M}")
        clock = lambda: moments[0]  # noqa: E731 - the clock of this test
        with (
            contextlib.suppress(UnreachableError),
            audited_seldom(place, deed, result, warnings.append, clock),
            repository_of(config.repository),
        ):
            if exit_code:
                raise UnreachableError("the server does not answer")
        moments[0] += timedelta(minutes=1)
        return len(_lines(host))

    before = len(_lines(host))
    assert [capture({}), capture({"app": 1}), capture({"app": 2})] == [before, before + 1, before + 1]
    assert [capture({}, 1), capture({}, 1), capture({"app": 1})] == [before + 2] * 3
    moments[0] += timedelta(minutes=56)
    assert capture({"app": 3}) == before + 3
    assert warnings == []
    told = host.told("--repository")[-3:]
    assert [one["state"] for one in told] == ["ok", "failed", "ok"]
    assert [one["result"] for one in told] == [{"app": 1}, {}, {"app": 3}]
    assert host.findings(code=0) == set()


def test_arguments_are_kept_short() -> None:
    many = masked(["x" * 10_000, *(str(number) for number in range(100))])
    assert len(many) == 51
    assert many[-1] == "… and 51 more"
    assert max(map(len, many)) < 600

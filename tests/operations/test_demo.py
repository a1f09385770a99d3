"""The demonstration: as a process from beginning to end, ended in the middle, and its checks against broken copies."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gridfs import GridFSBucket
from pymongo.database import Database

from drtool.errors import MissingToolError, UsageError, VerificationFailedError
from drtool.operations.demo.application import FILE_NAME
from drtool.operations.demo.fingerprint import compare, fingerprint
from drtool.operations.demo.steps import Chapter, Check, DisasterFigures, Step
from drtool.operations.demo.story import Teller
from drtool.operations.demo.transfers import check_instant
from drtool.operations.demo.workplace import workplace
from drtool.sources.mongodb.binary import find_mongod
from tests.cli.running import ROOT, Ended, command, environment
from tests.servers.process import wait_until
from tests.sources.mongo import Client, Document

pytestmark = pytest.mark.heavy

PATIENCE = 300


class Desk:
    """A place whose temporary files and XDG directories are its own, so that what is left over can be seen."""

    def __init__(self, root: Path) -> None:
        try:
            mongod = find_mongod()
        except MissingToolError as error:
            pytest.skip(f"{error.message}: {error.hint}")
        self.root = root
        self.temporary = root / "tmp"
        self.home = root / "home"
        self.temporary.mkdir()
        self.home.mkdir()
        own = {name: str(self.home / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME")}
        self.environment = environment({**own, "TMPDIR": str(self.temporary), "DRTOOL_MONGOD": str(mongod)})

    def run(self, *arguments: str, cwd: Path = ROOT, **variables: str) -> Ended:
        """Run drtool to its end."""
        done = subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def processes(self) -> list[str]:
        """The command lines of processes that have to do with this place."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has just ended
            if str(self.root) in line:
                found.append(line)
        return found

    def assert_clean(self) -> None:
        """Nothing runs, and no file is left."""
        assert self.processes() == []
        assert list(self.temporary.iterdir()) == []
        assert list(self.home.iterdir()) == []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A new one."""
    return Desk(tmp_path)


def test_whole(desk: Desk) -> None:
    ended = desk.run("demo", "--json")
    assert ended.code == 0, ended.err
    desk.assert_clean()
    assert ended.err == ""
    steps = ended.lines[:-1]
    assert [(step["type"], step["step"]) for step in steps] == [("step", chapter.id) for chapter in Chapter]
    result = ended.result
    assert result["figures"] == {step["step"]: step["figures"] for step in steps}
    assert result["checks"] == [check for step in steps for check in step["checks"]]
    assert all(check["ok"] for check in result["checks"])
    names = {check["name"] for check in result["checks"]}
    assert names >= {"sum-of-balances", "one-instant", "cannot-read", "sandbox-equal", "sandbox-dbhash", "level"}
    assert names >= {"gone", "complete", "dbhash", "counts", "indexes", "file", "view", "server-ended", "nothing-left"}
    assert names >= {
        "found",
        "only-that",
        "sound-again",
        "newest",
        "week",
        "month",
        "year",
        "relation",
        "vectors",
        "search",
        "settings",
    }
    figures = result["figures"]
    assert figures["seed"]["collections"]["transactions"] > 40_000
    assert figures["backup"]["committed"] > figures["backup"]["included"] >= 0
    assert "identity" in figures["keys"]["refusal"]
    assert figures["verify"]["level"] == "restored"
    assert figures["tamper"]["object"] in figures["tamper"]["message"]
    assert figures["rotation"]["taken"] == 365 * 4
    assert [each["snapshots"] for each in figures["rotation"]["course"][:2]] == [4, 28]
    assert figures["increment"]["backup"]["records"] == figures["restore"]["records"]
    assert result["seconds"] < sum(step["seconds"] for step in steps) + 10


def test_kept(desk: Desk) -> None:
    place = desk.root / "story"
    ended = desk.run("demo", "--keep", "--dir", str(place))
    assert ended.code == 0, ended.err
    desk.assert_clean()
    for chapter in Chapter:
        assert f"\n{chapter.number}. {chapter.title}\n" in ended.out
    assert "✗" not in ended.out
    assert f"   cd {place}\n" in ended.out
    assert {path.name for path in place.iterdir()} == {
        *("application", "backup-host", "cache", "drtool.yaml", "repository", "safe", "state"),
    }
    assert (place / "safe" / "identity.key").stat().st_mode & 0o777 == 0o600

    assert desk.run("config", "check", cwd=place).code == 0
    listed = [line for line in desk.run("snapshots", "--json", cwd=place).lines if line["type"] == "snapshot"]
    assert [(line["consistency"], line["level"]) for line in listed] == [("exact", "intact"), ("exact", "restored")]
    verified = desk.run("verify", listed[0]["snapshot"], "--level", "restored", "--json", cwd=place)
    assert verified.code == 0, verified.err
    assert verified.result["verified"] == 1
    desk.assert_clean()


@pytest.mark.parametrize("after", [Chapter.SERVER, Chapter.INCREMENT], ids=["seeding", "verifying"])
def test_ended_in_the_middle(desk: Desk, after: Chapter) -> None:
    process = subprocess.Popen(
        command("demo", "--json"),
        cwd=ROOT,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["step"] == after.id:
                break
        servers = 2 if after is Chapter.INCREMENT else 1  # the sandbox is the second
        wait_until(lambda: len([line for line in desk.processes() if " --dbpath " in line]) >= servers, "the servers")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "stopped by SIGTERM" in err
    result = json.loads(out.splitlines()[-1])
    assert (result["type"], result["ok"]) == ("result", False)
    assert after.id in result["figures"]
    desk.assert_clean()


def test_directory_in_use(desk: Desk) -> None:
    place = desk.root / "mine"
    place.mkdir()
    (place / "letter").write_text("dear")
    ended = desk.run("demo", "--json", "--dir", str(place))
    assert (ended.code, ended.result["error"]["kind"]) == (2, "usage")
    assert [path.name for path in place.iterdir()] == ["letter"]
    assert desk.run("demo", "--dir", str(place / "letter")).code == 2
    assert desk.run("demo", "--dir", str(desk.root / "no" / "such")).code == 2
    desk.assert_clean()


def test_no_server_to_start(desk: Desk) -> None:
    place = desk.root / "story"
    ended = desk.run("demo", "--json", "--dir", str(place), DRTOOL_MONGOD=str(desk.root / "mongod"))
    assert (ended.code, ended.result["error"]["kind"]) == (1, "missing-tool")
    assert "drtool[mongod]" in ended.result["error"]["hint"]
    assert not place.exists()


def test_server_too_old(desk: Desk) -> None:
    old = desk.root / "mongod"
    old.write_text("#!/bin/sh\necho 'db version v4.4.29'\n")
    old.chmod(0o755)
    ended = desk.run("demo", "--json", DRTOOL_MONGOD=str(old))
    assert ended.result["error"]["kind"] == "missing-tool"
    assert "4.4.29" in ended.result["error"]["message"]
    desk.assert_clean()


@pytest.mark.parametrize("existed", [False, True])
def test_workplace_goes(tmp_path: Path, existed: bool) -> None:
    root = tmp_path / "place"
    if existed:
        root.mkdir()

    def fail() -> None:
        with workplace(root, keep=False) as place:
            (place.repository / "packs").mkdir()
            (place.root / "file").touch()
            assert not place.check_left(keep=False).ok
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert root.exists() is existed
    assert list(tmp_path.glob("place/*")) == []


def test_workplace_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not empty"), workplace(tmp_path, keep=False):
        pass
    assert (tmp_path / "file").exists()


def test_failed_check_ends_the_story() -> None:
    told: list[Step] = []

    class Listener:
        def begin(self, chapter: Chapter) -> None:
            """Nothing to note."""

        def end(self, step: Step) -> None:
            told.append(step)

    teller = Teller(Listener())
    teller.begin(Chapter.DISASTER)
    checks = [Check("fine", True, "all is well"), Check("gone", False, "2 collections are left")]
    with pytest.raises(VerificationFailedError, match=r"gone \(2 collections are left\)"):
        teller.end(DisasterFigures(10, 4, 3, 2), checks)
    assert [step.chapter for step in told] == [Chapter.DISASTER]
    assert teller.checks == checks


@pytest.fixture
def ledger(client: Client, database: str) -> Database[Document]:
    """Two accounts, and three transfers from the first to the second."""
    found = client[database]
    found.accounts.insert_many(
        [
            {"number": "a", "opening": 1000, "balance": 700, "status": "active"},
            {"number": "b", "opening": 50, "balance": 350, "status": "active"},
        ]
    )
    found.transactions.insert_many(
        {"kind": "transfer", "number": number, "account": "a", "payee": "b", "amount": 100} for number in (1, 2, 3)
    )
    return found


def failed(checks: list[Check]) -> set[str]:
    """The names of those that did not hold."""
    return {check.name for check in checks if not check.ok}


def test_instant_that_is_one(ledger: Database[Document]) -> None:
    last, checks = check_instant(ledger, 1050, before=2, after=5)
    assert (last, failed(checks)) == (3, set())


def debited_only(ledger: Database[Document]) -> None:
    ledger.accounts.update_one({"number": "a"}, {"$inc": {"balance": -100}})


def moved_but_not_entered(ledger: Database[Document]) -> None:
    debited_only(ledger)
    ledger.accounts.update_one({"number": "b"}, {"$inc": {"balance": 100}})


def lost_from_the_middle(ledger: Database[Document]) -> None:
    ledger.transactions.delete_one({"number": 2})


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (debited_only, {"sum-of-balances", "no-half-transfer"}),
        (moved_but_not_entered, {"no-half-transfer"}),
        (lost_from_the_middle, {"no-half-transfer", "one-instant"}),
    ],
)
def test_instant_that_is_none(
    ledger: Database[Document], break_it: Callable[[Database[Document]], None], expected: set[str]
) -> None:
    break_it(ledger)
    _, checks = check_instant(ledger, 1050, before=0, after=5)
    assert failed(checks) == expected


@pytest.mark.parametrize(("before", "after"), [(4, 5), (0, 2)])
def test_instant_outside_the_backup(ledger: Database[Document], before: int, after: int) -> None:
    assert failed(check_instant(ledger, 1050, before, after)[1]) == {"one-instant"}


@pytest.fixture
def small(ledger: Database[Document]) -> Database[Document]:
    """With everything that a fingerprint looks at."""
    GridFSBucket(ledger).upload_from_stream(FILE_NAME, b"contents")
    ledger.create_collection("active_accounts", viewOn="accounts", pipeline=[{"$match": {"status": "active"}}])
    ledger.accounts.create_index("number", unique=True)
    ledger.accounts.create_index("status", hidden=True, name="status")
    return ledger


def test_same_fingerprint(small: Database[Document]) -> None:
    checks = compare(fingerprint(small), fingerprint(small))
    assert failed(checks) == set()
    assert len({check.name for check in checks}) == 7


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "index": ({"collMod": "accounts", "index": {"name": "status", "hidden": False}}, {"indexes"}),
    "view": ({"collMod": "active_accounts", "viewOn": "accounts", "pipeline": []}, {"dbhash", "options"}),
    "option": (
        {"collMod": "accounts", "validationLevel": "moderate", "validator": {"number": {"$exists": 1}}},
        {"options"},
    ),
    "money": (
        {"update": "accounts", "updates": [{"q": {"number": "a"}, "u": {"$inc": {"balance": 1}}}]},
        {"dbhash", "view", "balances"},
    ),
    "file": (
        {"update": "fs.chunks", "updates": [{"q": {}, "u": {"$set": {"data": b"CONTENTS"}}}]},
        {"dbhash", "file"},
    ),
    "document": ({"insert": "transactions", "documents": [{"kind": "card"}]}, {"dbhash", "counts"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_fingerprint_notices(small: Database[Document], name: str) -> None:
    change, expected = CHANGES[name]
    before = fingerprint(small)
    small.command(change)
    checks = compare(before, fingerprint(small))
    assert failed(checks) == expected
    assert all(check.message.startswith("not as before: ") for check in checks if not check.ok)


def test_fingerprint_names_what_differs(small: Database[Document]) -> None:
    before = fingerprint(small)
    [counts] = [c for c in compare(before, replace(before, counts={**before.counts, "accounts": 1})) if not c.ok]
    assert (counts.name, counts.message.endswith("different: accounts")) == ("counts", True)

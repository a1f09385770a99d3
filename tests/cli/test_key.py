"""The commands that change, list and bring back keys, as an operator types them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from drtool.operations.keys import escrowing
from drtool.repository.agent_key import AgentKey
from drtool.repository.escrow import Cost
from drtool.repository.identity import Identity
from tests.cli.running import Ended, command, environment
from tests.operations.site import drtool
from tests.repository.builders import Made, make
from tests.repository.builders import objects as all_objects

WORDS = "correct horse battery staple one two"
Run = Callable[..., Ended]


def _objects(made: Made) -> dict[str, bytes]:
    """What is stored, but for what the audit log says of an attempt."""
    return {name: data for name, data in all_objects(made.storage).items() if not name.startswith("audit/")}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A repository whose keys lie in files, with a configuration for each of owner and host."""
    made = make(tmp_path)
    made.local.mkdir()
    (tmp_path / "identity.key").write_text(made.identity.to_file("mine"))
    (tmp_path / "agent.key").write_text(made.agent.to_text())
    (tmp_path / "words").write_text(WORDS + "\n")
    for name, key in (("owner", "identity"), ("host", "agent_key")):
        file = {"identity": "identity.key", "agent_key": "agent.key"}[key]
        settings = {"url": made.storage.url, key: {"file": str(tmp_path / file)}, **_local(tmp_path, name)}
        _configure(tmp_path / f"{name}.yaml", settings)
    return made


def _local(directory: Path, name: str) -> dict[str, str]:
    return {"state_dir": str(directory / "local" / name), "cache_dir": str(directory / "local" / name / "cache")}


def _configure(path: Path, repository: dict[str, Any]) -> None:
    content = {
        "repository": repository,
        "sources": {"app": {"type": "mongodb", "uri": "mongodb://db/"}},
        "jobs": {"nightly": {"sources": ["app"]}},
    }
    path.write_text(yaml.safe_dump(content))


@pytest.fixture
def run(made: Made, tmp_path: Path) -> Run:
    """Runs a command as the owner (or, with `who`, as somebody else), with --json unless `text`."""

    def run(*arguments: str, who: str = "owner", text: bool = False) -> Ended:
        kind = () if text else ("--json",)
        return drtool("--config", f"{who}.yaml", *kind, "key", *arguments, cwd=tmp_path)

    return run


@pytest.fixture(autouse=True)
def _cheap_escrow(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = escrowing.put_escrow.__defaults__
    assert defaults is not None
    monkeypatch.setattr(escrowing.put_escrow, "__defaults__", (Cost(65_536, 1, 1),))


def _ok(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.out + ended.err
    return ended.result


def test_a_second_person_is_let_in_and_out_again(run: Run, made: Made, tmp_path: Path) -> None:
    root = _ok(run("list"))["root"]
    # She has neither a configuration nor access to the store.
    made_hers = drtool(
        *("key", "generate", "--out", "hers.key", "--recipient-out", "hers.recipient", "--root", root, "--json"),
        cwd=tmp_path,
    )
    fingerprint = _ok(made_hers)["fingerprint"]
    assert (tmp_path / "hers.key").stat().st_mode & 0o777 == 0o600
    identity = Identity.from_text((tmp_path / "hers.key").read_text(), "hers.key")
    assert identity.root == made.identity.root
    assert identity.secret.hex() not in (tmp_path / "hers.recipient").read_text()
    added = _ok(run("add", "--recipient", "hers.recipient", "--name", "Ada", "--verifier"))
    assert (added["recipient"], added["fingerprint"], added["problems"]) == ("Ada", fingerprint, [])
    settings = {"url": made.storage.url, "identity": {"file": str(tmp_path / "hers.key")}, **_local(tmp_path, "hers")}
    _configure(tmp_path / "hers.yaml", settings)
    listed = run("list", who="hers").lines
    assert [line["name"] for line in listed if line["type"] == "recipient"] == ["identity", "Ada"]
    [signer] = [line for line in listed if line["type"] == "signer" and line["name"] == "Ada"]
    assert (signer["roles"], signer["revoked"]) == (["verifier"], None)
    assert run("rotate", who="hers").code == 12
    assert _ok(run("rotate", "--remove-recipient", "Ada"))["removed"] == ["Ada"]
    assert run("list", who="hers").code == 12


def test_a_second_host_and_a_revocation(run: Run, made: Made, tmp_path: Path) -> None:
    added = _ok(run("add", "--agent", "host2", "--out", "host2.key"))
    key = AgentKey.from_text((tmp_path / "host2.key").read_text(), "host2.key")
    assert added["key"] == key.signing_key.public.hex()
    assert (tmp_path / "host2.key").stat().st_mode & 0o777 == 0o600
    again = run("add", "--agent", "host3", "--out", "host2.key")
    assert (again.code, "exists already" in again.result["error"]["message"]) == (20, True)
    assert run("add", "--agent", "host2", "--out", "other.key").code == 20
    assert not (tmp_path / "other.key").exists()
    revoked = _ok(run("revoke", "host2"))
    assert (revoked["signer"], revoked["kept"], revoked["refused"]) == (added["key"], [], [])
    [line] = [line for line in run("list").lines if line.get("name") == "host2"]
    assert line["revoked"]
    assert run("revoke", "host2").code == 2
    assert run("revoke", "identity").code == 20


def test_after_a_rotation_hosts_go_on(run: Run) -> None:
    _ok(run("add", "--agent", "maintenance", "--role", "maintainer", "--out", "m.key"))
    rotated = _ok(run("rotate"))
    assert (rotated["renewed"], rotated["stranded"]) == (["host1", "maintenance"], [])
    listed = run("list", who="host").lines
    keys = [line for line in listed if line["type"] == "catalog-key"]
    assert [line["current"] for line in keys] == [True, False]
    assert keys[0]["id"] == rotated["catalog_key"]


def test_the_passphrase_alone_brings_the_identity_back(run: Run, made: Made, tmp_path: Path) -> None:
    _ok(run("escrow", "--passphrase-file", "words"))
    assert [line["escrow"] for line in run("list").lines if line["type"] == "recipient"] == [True]
    for name in ("identity.key", "agent.key", "owner.yaml", "host.yaml"):
        (tmp_path / name).unlink()
    given = ("--repository", made.storage.url, "--passphrase-env", "WORDS", "--json")
    ended = drtool("key", "recover", "--identity-out", "back.key", *given, cwd=tmp_path, env={"WORDS": WORDS})
    assert _ok(ended)["root"] == made.identity.root.hex()
    assert Identity.from_text((tmp_path / "back.key").read_text(), "back.key") == made.identity
    assert (tmp_path / "back.key").stat().st_mode & 0o777 == 0o600
    before = _objects(made)
    wrong = drtool("key", "recover", "--identity-out", "no.key", *given, cwd=tmp_path, env={"WORDS": WORDS + "!"})
    assert (wrong.code, wrong.result["error"]["kind"]) == (12, "wrong-key")
    assert WORDS not in wrong.out + wrong.err
    assert not (tmp_path / "no.key").exists()
    assert _objects(made) == before
    (Path(made.storage.url) / "repository.json").unlink()
    again = drtool("key", "recover", "--identity-out", "again.key", *given, cwd=tmp_path, env={"WORDS": WORDS})
    assert (_ok(again)["repository"], "no repository at" in again.err) == (made.agent.repository.hex(), True)
    assert (tmp_path / "again.key").read_text() == (tmp_path / "back.key").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("short", 20, "too weak"),
        ("a" * 40, 20, "too weak"),
        ("tab\tinside a long passphrase", 20, "control character"),
        ("Passw0rd-of-2026", 0, "may be guessed"),
    ],
)
def test_weak_passphrases(run: Run, made: Made, tmp_path: Path, words: str, code: int, said: str) -> None:
    (tmp_path / "weak").write_text(words + "\n")
    before = _objects(made)
    ended = run("escrow", "--passphrase-command", "cat weak")
    assert ended.code == code
    assert said in ended.out + ended.err
    assert ("warning" in ended.err) == (code == 0)
    assert words not in ended.out + ended.err
    assert (_objects(made) == before) == (code != 0)


def test_escrow_is_replaced_tried_and_removed(run: Run, tmp_path: Path) -> None:
    assert run("escrow", "--remove").code == 20
    assert _ok(run("escrow", "--passphrase-file", "words"))["replaced"] is False
    (tmp_path / "new").write_text("another six words for the safe")
    assert _ok(run("escrow", "--passphrase-file", "new"))["replaced"] is True
    assert run("recover", "--dry-run", "--passphrase-file", "words").code == 12
    assert _ok(run("recover", "--dry-run", "--passphrase-file", "new"))["identity"] is None
    assert _ok(run("escrow", "--remove"))["removed"] is True
    gone = run("recover", "--dry-run", "--passphrase-file", "new")
    assert (gone.code, gone.result["error"]["kind"]) == (12, "key-file")


def test_paper_is_printed_typed_in_with_errors_and_then_right(run: Run, made: Made, tmp_path: Path) -> None:
    page = run("paper", text=True)
    assert (page.code, page.err) == (0, "")
    assert made.identity.recipient.fingerprint.hex() in page.out
    [row] = [line for line in page.out.splitlines() if line.lstrip().startswith("3 ")]
    group = row.split()[1]
    wrong = ("B" if group[0] != "B" else "C") + group[1:]
    (tmp_path / "typed").write_text(page.out.replace(group, wrong).lower())
    ended = run("check", "typed", "--out", "typed.key")
    assert ended.code == 12
    assert ended.result["error"]["message"] == "typed: group 3 is mistyped"
    assert not (tmp_path / "typed.key").exists()
    (tmp_path / "typed").write_text(page.out.lower())
    checked = _ok(run("check", "typed", "--out", "typed.key"))
    assert checked["fingerprint"] == made.identity.recipient.fingerprint.hex()
    assert Identity.from_text((tmp_path / "typed.key").read_text(), "typed.key") == made.identity


def test_a_paper_of_its_own(run: Run, tmp_path: Path) -> None:
    _ok(run("generate", "--out", "paper.key", "--recipient-out", "paper.recipient"))
    early = run("paper", "--identity", "paper.key")
    assert (early.code, "not a recipient" in early.result["error"]["message"]) == (12, True)
    _ok(run("add", "--recipient", "paper.recipient", "--name", "paper"))
    [line] = [line for line in run("paper", "--identity", "paper.key").lines if line["type"] == "paper"]
    assert "type the line that begins with root" in line["text"]
    (tmp_path / "typed").write_text(line["text"].upper())
    shown = run("check", "typed", text=True)
    assert "Compare fingerprint and root" in shown.out
    (tmp_path / "typed").write_text(line["text"])
    _ok(run("check", "typed", "--out", "typed.key"))
    original = Identity.from_text((tmp_path / "paper.key").read_text(), "paper.key")
    assert original.root.hex() in shown.out
    rootless = [row for row in line["text"].splitlines() if not row.strip().startswith("root ")]
    (tmp_path / "typed").write_text("\n".join(rootless))
    assert "If it has a line that begins with root" in run("check", "typed", text=True).out
    assert Identity.from_text((tmp_path / "typed.key").read_text(), "typed.key") == original


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add",), 2),
        (("add", "--agent", "a", "--recipient", "b"), 2),
        (("add", "--agent", "a"), 2),
        (("add", "--agent", "a", "--out", "nowhere/a.key"), 1),
        (("add", "--agent", "a", "--out", "a.key", "--name", "b"), 2),
        (("add", "--agent", " ", "--out", "a.key"), 2),
        (("add", "--recipient", "missing"), 12),
        (("add", "--recipient", "agent.key"), 12),
        (("add", "--recipient", "words", "--out", "x"), 2),
        (("generate", "--out", "identity.key"), 20),
        (("generate", "--out", "leads-nowhere"), 20),
        (("generate", "--out", "x.key", "--recipient-out", "x.key"), 2),
        (("generate", "--out", "x.key", "--recipient-out", "nowhere/x"), 1),
        (("generate", "--out", "x.key", "--root", "00"), 2),
        (("rotate", "--remove-recipient", "nobody"), 2),
        (("rotate", "--remove-recipient", "identity"), 20),
        (("revoke", "nobody"), 2),
        (("revoke", "host1", "--before", "yesterday"), 2),
        (("revoke", "host1", "--before", "2026-01-01", "--last-good", "x"), 2),
        (("revoke", "host1", "--last-good", "x"), 10),
        (("escrow",), 2),
        (("escrow", "--passphrase-file", "missing"), 2),
        (("escrow", "--passphrase-file", "words", "--passphrase-env", "HOME"), 2),
        (("escrow", "--passphrase-command", "'"), 2),
        (("escrow", "--remove", "--passphrase-file", "words"), 2),
        (("recover",), 2),
        (("recover", "--dry-run", "--identity-out", "x"), 2),
        (("recover", "--identity-out", "identity.key"), 20),
        (("recover", "--dry-run", "--passphrase-file", "words"), 12),
        (("check", "missing"), 12),
        (("check", "words"), 12),
        (("check", "agent.key"), 12),
        (("check", "identity.key", "--out", "identity.key"), 20),
    ],
    ids=str,
)
def test_bad_input_is_refused_and_nothing_changes(run: Run, made: Made, arguments: tuple[str, ...], code: int) -> None:
    before = _objects(made)
    (Path(made.storage.url).parent / "leads-nowhere").symlink_to("not there")
    files = sorted(Path(made.storage.url).parent.glob("*.key"))
    ended = run(*arguments)
    assert ended.code == code, ended.out
    assert ended.result["error"]["message"]
    assert _objects(made) == before
    assert sorted(Path(made.storage.url).parent.glob("*.key")) == files


@pytest.mark.parametrize(
    "arguments", [("rotate",), ("revoke", "host1"), ("escrow",), ("add", "--agent", "a", "--out", "b")]
)
def test_a_host_changes_no_keys(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments, who="host")
    assert (ended.code, "needs the identity" in ended.result["error"]["message"]) == (2, True)


def test_a_passphrase_is_asked_for_twice_on_a_terminal(made: Made, tmp_path: Path) -> None:
    """And never shown. As a process, since what asks wants a terminal of its own."""
    before = _objects(made)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb+", buffering=0), os.fdopen(theirs, "rb+", buffering=0) as stream:
        process = subprocess.Popen(
            command("--config", "owner.yaml", "key", "escrow"),
            cwd=tmp_path,
            env=environment(),
            stdin=stream,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        stream.close()
        with process:
            different = [("Passphrase: ", WORDS), ("confirmation: ", WORDS + "!")]
            same = [("Passphrase: ", "too-short"), ("confirmation: ", "too-short")]
            shown = _answered(ours, [*different, *same])
    assert (process.returncode, "too weak" in shown) == (20, True), shown
    assert "do not match" in shown
    assert WORDS not in shown
    assert "too-short" not in shown
    assert _objects(made) == before


def _answered(terminal: int, answers: list[tuple[str, str]]) -> str:
    """Wait for each question and answer it; what was shown up to the end."""
    shown, answered = b"", 0
    waiting = list(answers)
    deadline = time.monotonic() + 60
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the process has closed its side
            break
        if not piece:
            break
        shown += piece
        if waiting and waiting[0][0].encode() in shown[answered:]:
            answered = len(shown)
            os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
    assert not waiting, shown
    return shown.decode()

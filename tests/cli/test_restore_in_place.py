"""``drtool restore --in-place``: nothing is replaced before it is safe, and everything can be undone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from drtool.cli.replacing import _confirm
from drtool.errors import RefusedError, RepositoryError, SourceError
from drtool.operations.joblock import job_lock
from drtool.operations.restore.unfinished import Unfinished
from drtool.sources.mongodb.target import MongoTarget
from tests.operations.site import Site, fill, hashes
from tests.sources.mongo import Client

YES = ("--in-place", "--yes-replace", "nightly")


@pytest.fixture
def taken(site: Site, client: Client, database: str) -> Site:
    """A host with one snapshot; since then a collection was emptied, one changed, one dropped and one made."""
    fill(client, database, collections=3)
    client[database].c0.create_index("n")
    site.backup()
    client[database].c0.delete_many({})
    client[database].c1.update_one({"_id": 1}, {"$set": {"n": 99}})
    client[database].drop_collection("c2")
    client[database].since.insert_one({"_id": 1})
    return site


def _undo(result: dict[str, Any]) -> tuple[str, ...]:
    [command] = result["undo"]
    words = shlex.split(command)
    assert words[0] == "drtool"
    return (*words[1:], "--yes-replace", "nightly")


def test_replaces_and_can_be_undone(taken: Site, client: Client, database: str) -> None:
    old = taken.ok("snapshots")[0]["snapshot"]
    before = hashes(client, database)
    result = taken.ok("restore", old, *YES)[-1]
    assert (result["records"], result["expected_records"], result["level"]) == (24, 24, "none")
    assert result["safety"]["level"] == "readable"
    assert result["stays"] == [{"source": "nightly", "stream": f"{database}.since"}]
    assert result["returns"] == [{"source": "nightly", "stream": f"{database}.c2"}]
    assert client[database].c0.count_documents({}) == 8
    assert client[database].c1.count_documents({"n": 99}) == 0
    assert sorted(client[database].list_collection_names()) == ["c0", "c1", "c2", "since"]
    assert "n_1" in client[database].c0.index_information()
    taken.ok(*_undo(result))
    after = hashes(client, database)
    assert {name: after[name] for name in before} == before


def test_safety_snapshots_are_none_of_the_jobs_own(taken: Site, client: Client) -> None:
    old = taken.ok("snapshots")[0]["snapshot"]
    safety = taken.ok("restore", "latest", *YES)[-1]["safety"]["snapshot"]
    lines = {line["snapshot"]: line for line in taken.ok("snapshots")[:-1]}
    assert (lines[safety]["job"], lines[safety]["tags"]) == ("nightly-safety", ["safety"])
    assert (lines[safety]["protected"], lines[old]["protected"]) == (True, True)
    assert taken.ok("show", "latest")[-1]["snapshot"] == old
    assert taken.ok("show", "nightly-safety@latest")[-1]["snapshot"] == safety
    again = taken.ok("restore", safety, *YES)[-1]
    assert taken.ok("show", again["safety"]["snapshot"])[-1]["job"] == "nightly-safety"
    taken.ok("verify", "--level", "listed")
    taken.ok("release", safety)


def test_a_dry_run_shows_it_and_takes_nothing(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    told = taken.told("restore", "latest", "--in-place", "--dry-run")
    assert told.code == 0
    assert f"is replaced: {database}.c1: 8 documents" in told.out
    assert f"stays: {database}.since of nightly" in told.out
    assert "IN PLACE" in told.out
    assert "in the way" not in told.out
    assert hashes(client, database) == before
    assert len(taken.snapshots()) == 1
    result = taken.ok("restore", "latest", "--in-place", "--dry-run")[-1]
    assert (result["would_refuse"], result["in_place"]) == (False, True)


def test_what_is_refused(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    for options, said in (
        (("--in-place",), "there is no terminal"),
        (("--in-place", "--yes-replace", "x"), "--yes-replace x"),
        (("--yes-replace", "nightly"), "goes with --in-place"),
        ((*YES, "--to", "mongodb://127.0.0.1/"), "goes without --to"),
        ((*YES, "--rename", "a=b"), "goes without --rename"),
    ):
        ended = taken.drtool("restore", "latest", *options)
        assert (ended.code, said in ended.result["error"]["message"]) == (2, True), ended.result
    assert hashes(client, database) == before
    assert len(taken.snapshots()) == 1


def test_a_part(taken: Site, client: Client, database: str) -> None:
    result = taken.ok("restore", "latest", *YES, "--only", f"{database}.c0")[-1]
    assert client[database].c0.count_documents({}) == 8
    assert client[database].c1.count_documents({"n": 99}) == 1
    assert sorted(client[database].list_collection_names()) == ["c0", "c1", "since"]
    taken.ok(*_undo(result))
    assert client[database].c0.count_documents({}) == 0


def test_nothing_is_replaced_before_it_is_safe(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(client, database)

    def fail(*_: object, **__: object) -> object:
        raise SourceError("cannot be read")

    monkeypatch.setattr("drtool.operations.restore.replacing.back_up", fail)
    ended = taken.drtool("restore", "latest", *YES)
    assert (ended.code, ended.result["error"]["message"]) == (1, "cannot be read")
    assert hashes(client, database) == before


def test_an_interrupted_one_is_begun_anew_and_undone_to_what_was_there_first(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(client, database)
    load = MongoTarget.load

    def fail(self: MongoTarget, item: Any, chunks: Any) -> Any:
        if item.name.endswith(".c1"):
            raise SourceError("the server went away")
        return load(self, item, chunks)

    monkeypatch.setattr(MongoTarget, "load", fail)
    ended = taken.drtool("restore", "latest", *YES)
    assert ended.code == 1
    first = ended.result["safety"]["snapshot"]
    assert f"drtool restore {first} --in-place --source nightly" in ended.err
    monkeypatch.undo()
    result = taken.ok("restore", "latest", *YES)[-1]
    assert result["safety"]["snapshot"] != first
    assert client[database].c1.count_documents({"n": 99}) == 0
    assert shlex.split(result["undo"][0])[2] == first
    taken.ok(*_undo(result))
    after = hashes(client, database)
    assert {name: after[name] for name in before} == before
    later = taken.ok("restore", taken.snapshots()[0], *YES)[-1]
    assert shlex.split(later["undo"][0])[2] == later["safety"]["snapshot"]


def _halting(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise SourceError("the server went away")

    monkeypatch.setattr(MongoTarget, "load", fail)


def test_one_that_did_not_end_is_told_apart_from_what_is_there_now(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = taken.snapshots()[0]
    with monkeypatch.context() as halting:
        _halting(halting)
        first = taken.drtool("restore", old, *YES, "--only", f"{database}.c1").result["safety"]["snapshot"]
    other = taken.ok("restore", old, *YES, "--only", f"{database}.c0")[-1]
    assert (shlex.split(other["undo"][0])[2], other["undo_attempt"]) == (other["safety"]["snapshot"], [])
    client[database].c1.insert_one({"_id": "written since"})
    told = taken.told("restore", old, *YES).out
    assert f"{first} of" in told
    assert "or, to come back to what is there just now: drtool restore" in told
    again = taken.ok("restore", old, *YES)[-1]
    assert (shlex.split(again["undo"][0])[2], again["undo_attempt"]) == (again["safety"]["snapshot"], [])


def test_the_undo_of_one_that_did_not_end_is_not_undone_by_itself(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(client, database)
    with monkeypatch.context() as halting:
        _halting(halting)
        ended = taken.drtool("restore", "latest", *YES)
    undone = taken.ok(*_undo(ended.result))[-1]
    assert shlex.split(undone["undo"][0])[2] == undone["safety"]["snapshot"]
    after = hashes(client, database)
    assert {name: after[name] for name in before} == before


def test_one_that_did_not_end_can_be_undone_though_all_is_gone_since(
    taken: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = taken.snapshots()[0]
    before = hashes(client, database)
    with monkeypatch.context() as halting:
        _halting(halting)
        taken.drtool("restore", old, *YES)
    client.drop_database(database)
    result = taken.ok("restore", old, *YES)[-1]
    assert result["safety"] is None
    taken.ok(*_undo(result))
    after = hashes(client, database)
    assert {name: after[name] for name in before} == before
    client.drop_database(database)
    assert taken.ok("restore", old, *YES)[-1]["undo"] == []


def test_the_undo_of_a_part_names_only_what_there_was(taken: Site, client: Client, database: str) -> None:
    parts = ("--only", f"{database}.c0", "--only", f"nightly:{database}.c2")
    result = taken.ok("restore", "latest", *YES, *parts)[-1]
    assert client[database].c2.count_documents({}) == 8
    taken.ok(*_undo(result))
    assert client[database].c0.count_documents({}) == 0


def test_what_the_source_does_not_read_is_not_replaced(taken: Site, client: Client, database: str) -> None:
    before = hashes(client, database)
    config = yaml.safe_load(taken.config.read_text())
    config["sources"]["nightly"]["databases"] = [f"{database}_other"]
    taken.config.write_text(yaml.safe_dump(config))
    for options in (YES, ("--in-place", "--dry-run")):
        ended = taken.drtool("restore", "latest", *options)
        assert (ended.code, f"{database}.c0" in ended.result["error"]["message"]) == (20, True), ended.result
    assert hashes(client, database) == before


def test_no_job_reads_a_source_while_it_is_replaced(taken: Site, client: Client, database: str) -> None:
    config = yaml.safe_load(taken.config.read_text())
    config["jobs"]["weekly"] = {"sources": ["nightly"]}
    taken.config.write_text(yaml.safe_dump(config))
    before = hashes(client, database)
    with taken.opened() as opened, job_lock(taken.directory / "state" / opened.id, "weekly"):
        ended = taken.drtool("restore", "latest", *YES)
    assert (ended.code, "weekly" in ended.result["error"]["message"]) == (11, True), ended.result
    assert hashes(client, database) == before


@pytest.mark.parametrize("text", ["", "[]", '{"app.users": '])
def test_what_did_not_end_is_noted_for_each_stream(tmp_path: Path, text: str) -> None:
    unfinished = Unfinished(tmp_path)
    unfinished.note("app", ["a", "b"], "1")
    unfinished.note("app", ["b", "c"], "2")
    assert [unfinished.earliest("app", [name], {"1", "2"}) for name in "abcd"] == ["1", "1", "2", ""]
    assert unfinished.earliest("app", ["a", "c"], {"2"}) == "2"
    unfinished.forget("app", ["a", "b"])
    assert unfinished.earliest("app", ["a", "b", "c"], {"1", "2"}) == "2"
    (tmp_path / "app").write_text(text)
    with pytest.raises(RepositoryError, match="app"):
        unfinished.earliest("app", ["a"], {"1"})


def test_what_is_gone_altogether_needs_no_safety_snapshot(taken: Site, client: Client, database: str) -> None:
    client.drop_database(database)
    assert "nothing has to be saved" in taken.told("restore", "latest", "--in-place", "--dry-run").out
    result = taken.ok("restore", "latest", *YES)[-1]
    assert (result["records"], result["safety"], result["undo"]) == (24, None, [])
    assert len(taken.snapshots()) == 1
    assert client[database].c1.count_documents({}) == 8


def test_a_directory_that_is_gone_comes_back_in_place(taken: Site, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "name").write_text("kept")
    config = yaml.safe_load(taken.config.read_text())
    config["sources"]["code"] = {"type": "files", "paths": [str(tree)]}
    config["jobs"]["code"] = {"sources": ["code"]}
    taken.config.write_text(yaml.safe_dump(config))
    taken.ok("backup", "code")
    (tree / "name").unlink()
    tree.rmdir()
    taken.ok("restore", "code@latest", "--in-place", "--yes-replace", "code")
    assert (tree / "name").read_text() == "kept"
    (tree / "name").write_text("changed")
    result = taken.ok("restore", "code@latest", "--in-place", "--yes-replace", "code")[-1]
    assert (tree / "name").read_text() == "kept"
    taken.ok(*shlex.split(result["undo"][0])[1:], "--yes-replace", "code")
    assert (tree / "name").read_text() == "changed"


@pytest.mark.parametrize(("typed", "meant"), [("nightly", True), ("", False), ("y", False), ("Nightly", False)])
def test_the_name_has_to_be_typed(monkeypatch: pytest.MonkeyPatch, typed: str, meant: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_, **__: typed)
    if meant:
        _confirm(["nightly"], ())
    else:
        with pytest.raises(RefusedError):
            _confirm(["nightly"], ())

"""Trees of files through the command line, from configuration to proof."""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from drtool.operations.init import init
from drtool.storage.directory import DirectoryStorage
from tests.cli.running import Ended
from tests.operations.site import drtool
from tests.sources.files import zoo
from tests.sources.files.copies import as_nobody, open_directory


class _Host:
    """A host with a tree of files and drtool on it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.tree = directory, directory / "srv" / "app"
        self.tree.mkdir(parents=True)
        self.said = ""
        with contextlib.closing(DirectoryStorage(directory / "repository")) as storage:
            init(storage, agent_key=directory / "agent.key", identity=directory / "identity.key")
        self.configure()

    def configure(self, **more: Any) -> None:
        """Write the configuration."""
        content = {
            "repository": {
                "url": "repository",
                "agent_key": {"file": "agent.key"},
                "identity": {"file": "identity.key"},
                "state_dir": "state",
                "cache_dir": "cache",
            },
            "sources": {"code": {"type": "files", "paths": ["srv/app"]} | more},
            "jobs": {"nightly": {"sources": ["code"]}},
        }
        (self.directory / "drtool.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def run(self, *arguments: str) -> Ended:
        """Run a command; what all of them said is kept."""
        ended = drtool("--json", "--verbose", *arguments, cwd=self.directory)
        self.said += ended.out + ended.err
        return ended

    def ok(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that must succeed; its lines."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended.out + ended.err
        return ended.lines


@pytest.fixture
def host(tmp_path: Path) -> _Host:
    """A host."""
    return _Host(tmp_path)


def test_from_backup_to_proof(host: _Host) -> None:
    zoo.fill(host.tree)
    assert host.ok("doctor")
    [line, _] = host.ok("backup")
    assert (line["consistency"], line["records"]) == ("exact", len(zoo.listing(host.tree)))
    [verified, _] = host.ok("verify", "latest", "--level", "restored")
    assert (verified["level"], verified["ok"]) == ("restored", True)
    host.ok("show", "latest")
    result = host.ok("restore", "latest")[-1]
    assert result["records"] == result["expected_records"] == line["records"]
    [restored] = host.tree.parent.glob("app_restored_*")
    assert zoo.listing(restored) == zoo.listing(host.tree)
    assert host.run("restore", "latest").code == 20
    host.ok("restore", "latest", "--to", "elsewhere")
    assert zoo.listing(host.directory / "elsewhere" / str(host.tree).lstrip("/")) == zoo.listing(host.tree)
    host.ok("export", "latest", "exported")
    assert zoo.listing(host.directory / "exported" / str(host.tree).lstrip("/")) == zoo.listing(host.tree)
    assert "never-shown-anywhere" not in host.said


def test_who_is_not_root_can_prove_a_backup(tmp_path: Path) -> None:
    expected = "identical" if zoo.IS_ROOT else "canonical"
    # First as this account, which may read every module that is loaded when it is needed; root needs one less.
    import_module("drtool.sources.files.comparing")
    assert _proof_of_one_file(tmp_path) == expected
    with open_directory() as directory, as_nobody():
        assert _proof_of_one_file(directory) == "canonical"


def _proof_of_one_file(directory: Path) -> str:
    """Back up, prove and restore; what `snapshots` says of it."""
    host = _Host(directory)
    (host.tree / "file").write_bytes(b"content")
    [line, _] = host.ok("backup")
    assert line["consistency"] == "exact"
    [verified, _] = host.ok("verify", "latest", "--level", "restored")
    assert verified["ok"]
    host.ok("restore", "latest")
    [restored] = host.tree.parent.glob("app_restored_*")
    assert (restored / "file").read_bytes() == b"content"
    proof: str = host.ok("snapshots")[0]["proof"]
    return proof


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"paths": []}, "at least 1"),
        ({"paths": ["srv", "srv/app"]}, "overlap"),
        ({"exclude": ["!"]}, "as in .gitignore"),
        ({"exclud": ["x"]}, "exclude"),
        ({"one_file_system": "perhaps"}, "one_file_system"),
    ],
)
def test_a_configuration_that_makes_no_sense(host: _Host, settings: dict[str, Any], told: str) -> None:
    host.configure(**settings)
    ended = host.run("config", "check")
    assert ended.code == 2
    assert told in ended.out + ended.err


YES = ("--in-place", "--yes-replace", "code")


def test_in_place_a_path_that_the_configuration_has_no_more_is_refused(host: _Host) -> None:
    """Through a link, too: no safety snapshot would hold it."""
    (host.tree / "kept").write_text("old")
    other = host.tree.parent / "other"
    other.mkdir()
    (host.tree.parent / "current").symlink_to("app")
    host.configure(paths=["srv/current", "srv/other"])
    host.ok("backup")
    (host.tree / "kept").write_text("new")
    host.configure(paths=["srv/other"])
    ended = host.run("restore", "latest", *YES)
    assert (ended.code, "cannot be saved first" in ended.result["error"]["message"]) == (20, True), ended.result
    assert (host.tree / "kept").read_text() == "new"
    host.configure(paths=["srv/current", "srv/other"])
    host.ok("restore", "latest", *YES)
    assert (host.tree / "kept").read_text() == "old"


def test_in_place_what_is_left_out_since_is_neither_deleted_nor_overwritten(host: _Host) -> None:
    (host.tree / "cache").mkdir()
    (host.tree / "cache" / "one").write_text("old")
    host.ok("backup")
    (host.tree / "cache" / "one").write_text("new")
    (host.tree / "cache" / "two").write_text("new")
    host.configure(exclude=["cache/"])
    host.ok("restore", "latest", *YES)
    assert (host.tree / "cache" / "one").read_text() == "old"
    kept = host.tree.with_name("app.replaced") / "cache"
    assert [(kept / name).read_text() for name in ("one", "two")] == ["new", "new"]

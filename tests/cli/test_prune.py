"""``drtool prune``: what it prints, asks for and refuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from drtool.repository.runs import Run
from drtool.storage.directory import DirectoryStorage
from tests.operations.prune.acting import save
from tests.operations.prune.shelves import packs, read_all, remove, small_packs, stream
from tests.operations.site import drtool
from tests.repository.builders import Made, backup, make


@pytest.fixture
def used(tmp_path: Path) -> Made:
    """A repository with something to clean up, and a configuration that names it."""
    made = make(tmp_path)
    with small_packs(), closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(25))])
        backup(agent, [stream([0, 10, 20])])
    remove(made, [first])
    save(made, tmp_path)
    _configure(tmp_path, identity={"file": "identity.key"})
    return made


def _configure(directory: Path, **keys: object) -> None:
    for name in ("agent.key", "identity.key"):
        (directory / name).chmod(0o600)
    repository = {"url": "repository", "state_dir": "state", "cache_dir": "cache", "agent_key": {"file": "agent.key"}}
    content = {
        "repository": {**repository, **keys},
        "sources": {"app": {"type": "mongodb", "uri": "mongodb://127.0.0.1:1/"}},
        "jobs": {"nightly": {"sources": ["app"]}},
    }
    (directory / "drtool.yaml").write_text(yaml.safe_dump(content))


def test_a_dry_run_then_the_same_for_good(used: Made, tmp_path: Path) -> None:
    before, expected = packs(used), read_all(used)
    with small_packs():
        seen = drtool("prune", "--dry-run", "--json", cwd=tmp_path).result
        assert packs(used) == before
        told = drtool("prune", "--dry-run", cwd=tmp_path)
        done = drtool("prune", "--json", cwd=tmp_path).result
    assert (told.code, seen["dry_run"], done["dry_run"]) == (0, True, False)
    assert "would free" in told.out
    assert seen["unused"] == done["unused"] != {"packs": 0, "bytes": 0}
    assert done["deleted"]["packs"] == seen["unused"]["packs"] + seen["rewritten"]["packs"]
    assert done["freed_bytes"] > 0
    assert done["requests"] > 0
    assert read_all(used) == expected
    again = drtool("prune", cwd=tmp_path)
    assert (again.code, "nothing to delete" in again.out) == (0, True)


def test_it_says_whom_it_waits_for(used: Made, tmp_path: Path) -> None:
    then = DirectoryStorage(used.storage.url).now().timestamp() - 7200 * 10
    import os

    for name in packs(used):
        os.utime(Path(used.storage.url, name), (then, then))
    with closing(used.as_agent("other")) as agent, Run(agent, "backup", "nightly"):
        told = drtool("prune", cwd=tmp_path)
        again = drtool("prune", "--json", cwd=tmp_path).result
    assert told.code == 0
    assert "waiting for backup nightly" in told.out
    assert [run["kind"] for run in again["waiting_for"]] == ["backup"]
    assert again["deleted"] == {"packs": 0, "bytes": 0}


def test_without_a_maintainers_key_nothing_happens(used: Made, tmp_path: Path) -> None:
    _configure(tmp_path)
    ended = drtool("prune", cwd=tmp_path)
    assert ended.code == 2
    assert "maintainer" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-unused", "200%"),
        ("--max-unused", "half"),
        ("--max-unused", "nan%"),
        ("--wait", "soon"),
        ("--wait", "-5s"),
    ],
)
def test_what_makes_no_sense_is_refused(used: Made, tmp_path: Path, arguments: tuple[str, str]) -> None:
    ended = drtool("prune", *arguments, "--json", cwd=tmp_path)
    assert ended.code == 2
    assert arguments[0] in json.loads(ended.out.splitlines()[-1])["error"]["message"]

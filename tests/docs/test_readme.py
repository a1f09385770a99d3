"""The README's commands, typed one after the other by a user with a replica set, a bucket and a USB stick."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import ServerOptions, running
from tests.cli.running import ROOT, environment
from tests.scheduling.installing.standins import crontab_in
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket, moto_server

README = ROOT / "README.md"
_BLOCK = re.compile(r"^```sh run\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)\)")
USB = "/media/usb"
EXAMPLE_URI = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
#: What the reader adds to drtool.yaml for every night; here somebody who reads a file is told.
NOTIFY = """
notify: [{{type: command, command: [sh, -c, "cat >> {told}"]}}]
"""


@pytest.fixture(scope="module")
def mongod() -> Path:
    try:
        return find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")


def _run(block: str, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.heavy
def test_commands_do_what_the_readme_says(mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    assert len(blocks) >= 6, "a block that is to be run begins with ```sh run"
    usb = tmp_path / "usb"
    usb.mkdir()
    crontab = crontab_in(tmp_path, monkeypatch)
    with (
        moto_server(tmp_path) as s3,
        running(mongod, ServerOptions(replica_set="rs0")) as source,
        running(mongod, ServerOptions(replica_set="standby")) as standby,
        MongoClient[dict[str, Any]](source.uri) as client,
        MongoClient[dict[str, Any]](standby.uri) as other,
    ):
        make_bucket(s3, "acme-backups")
        client.app.users.insert_many([{"_id": n, "name": f"user {n}"} for n in range(500)])
        env = environment(
            {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": REGION,
                "HOME": str(tmp_path),
                "MONGODB_URI": source.uri,
                "STANDBY_URI": standby.uri,
                "PATH": f"{crontab.parent / 'standins'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
        )
        outputs = []
        for number, block in enumerate(blocks):
            typed = block.replace(USB, str(usb)).replace(EXAMPLE_URI, source.uri)
            outputs.append(_run(typed, tmp_path, env))
            if number == 0:
                _uncomment(tmp_path / "drtool.yaml", "identity", f"{{file: {usb / 'identity.key'}}}")
                _uncomment(tmp_path / "drtool.yaml", "schedule", '"0 2 * * *"')
                with (tmp_path / "drtool.yaml").open("a", encoding="utf-8") as file:
                    file.write(NOTIFY.format(told=tmp_path / "told"))
        assert "proof identical" in outputs[1]
        assert other.app.users.count_documents({}) == 500
        assert client.app.users_before.count_documents({}) == 500
        assert [name for name in client.list_database_names() if name.startswith("app_restored_")]
        assert (tmp_path / "told").stat().st_size
        assert f"# >>> drtool {tmp_path / 'drtool.yaml'} >>>" in crontab.read_text(encoding="utf-8")
        [night] = [output for output in outputs if "looks every" in output]
        assert "nightly" in night.partition("looks every")[2]


def _uncomment(config: Path, key: str, value: str) -> None:
    text = config.read_text(encoding="utf-8")
    changed = re.sub(rf"# {key}: .*", f"{key}: {value}", text)
    assert changed != text
    config.write_text(changed, encoding="utf-8")


@pytest.mark.parametrize("document", [README, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readmes_configuration_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drtool.config.loading import parse_config

    monkeypatch.setenv("MONGODB_URI", EXAMPLE_URI)
    [text] = re.findall(r"^```yaml\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    config = parse_config(text, tmp_path / "drtool.yaml")
    assert config.repository.url == "s3://acme-backups/prod"

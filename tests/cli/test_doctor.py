"""``drtool doctor``, against a directory, a real S3 server and one that ignores conditional puts."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.storage.conformance import CHECKS
from tests.cli.running import Ended
from tests.operations.site import drtool
from tests.servers.guarded import shared_guarded
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket, ministack_server, rclone_server
from tests.sources.mongo import unique_database

CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": REGION}
NOWHERE = {"MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"}


def _init(directory: Path, url: str, env: dict[str, str]) -> Ended:
    (directory / "away").mkdir(exist_ok=True)
    return drtool("init", "--repository", url, "--identity-out", "away/identity.key", "--json", cwd=directory, env=env)


def _checks(ended: Ended) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in ended.lines:
        if line["type"] == "check":
            found.setdefault(line["check"], []).append(line["verdict"])
    return found


def _env(directory: Path) -> dict[str, str]:
    return {"HOME": str(directory), **NOWHERE, **CREDENTIALS}


def test_finds_what_would_not_work(tmp_path: Path) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    ended = drtool("doctor", "--json", cwd=tmp_path, env=env)
    checks = _checks(ended)
    assert ended.code == 1
    assert checks["source app"] == ["failed"], "there is no server"
    assert checks["storage"] == checks["repository"] == checks["clock"] == ["ok"]
    assert checks["agent key"] == checks["identity"] == ["ok"]
    assert "keys" not in checks, "only one of them is here"
    assert ended.result["checks"]["failed"] == 1


def test_warns_of_an_identity_that_lies_beside_the_agent_key(tmp_path: Path) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    config = tmp_path / "drtool.yaml"
    text = config.read_text().replace("# identity: {file: /media/usb/", "identity: {file: away/")
    config.write_text(text)
    (tmp_path / "agent.key").chmod(0o644)
    checks = _checks(drtool("doctor", "--json", cwd=tmp_path, env=env))
    assert checks["keys"] == ["warning"]
    assert checks["agent key"] == ["warning"]


def test_what_the_account_lacks_is_named(tmp_path: Path) -> None:
    guarded = shared_guarded()
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    with guarded.connect() as client:
        name = unique_database(client)
        client[name]["c"].insert_one({"_id": 1})
    with guarded.user("backup") as uri:
        enough = drtool("doctor", "--json", cwd=tmp_path, env=env | {"MONGODB_URI": uri})
    with guarded.user(privileges=[{"resource": {"cluster": True}, "actions": ["listDatabases"]}]) as uri:
        weak = drtool("doctor", "--json", cwd=tmp_path, env=env | {"MONGODB_URI": uri})
    with guarded.user("backup") as uri:
        elsewhere = drtool("doctor", "--to", "${TARGET}", "--json", cwd=tmp_path, env=env | {"TARGET": uri})
    with guarded.connect() as client:
        client.drop_database(name)
    assert elsewhere.code == 1
    assert set(_checks(elsewhere)) == {"restore of app"}
    assert "insert" in _messages(elsewhere, "restore of app")
    assert "use restore --to" in _messages(enough, "restore of app")
    assert (enough.code, _checks(enough)["source app"]) == (0, ["ok", "warning"]), enough.out
    assert "the account lacks replSetGetConfig" in _messages(enough, "source app")
    assert weak.code == 1
    assert f"the account lacks find on {name}" in _messages(weak, "source app")
    lacking = [line for line in weak.lines if "lacks find on local.oplog.rs" in line.get("message", "")]
    assert [line["verdict"] for line in lacking] == ["warning"]
    assert "point-in-time recovery" in lacking[0]["hint"]
    assert "--print-roles backup" in lacking[0]["hint"]


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [("backup", ["backup"]), ("replay", ["replay"]), ("all", ["backup", "restore", "replay"])],
)
def test_prints_the_roles_without_asking_any_server(tmp_path: Path, purpose: str, expected: list[str]) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    ended = drtool("doctor", "--print-roles", purpose, "--json", cwd=tmp_path, env=env)
    lines = [line for line in ended.lines if line["type"] == "role"]
    assert (ended.code, ended.result["roles"]) == (0, len(expected))
    assert [(line["source"], line["purpose"]) for line in lines] == [("app", each) for each in expected]
    told = drtool("doctor", "--print-roles", purpose, cwd=tmp_path, env=env)
    for line in lines:
        assert f'"createRole": "drtool{line["purpose"].capitalize()}"' in line["commands"]
        assert line["commands"] in told.out


def _messages(ended: Ended, check: str) -> str:
    return " ".join(line["message"] for line in ended.lines if line.get("check") == check)


def test_keys_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    config, agent = tmp_path / "drtool.yaml", tmp_path / "agent.key"
    config.write_text(config.read_text().replace("# identity: {file: /media/usb/", "identity: {file: missing/"))
    agent.write_text(agent.read_text()[:100])
    ended = drtool("doctor", "--json", cwd=tmp_path, env=env)
    checks = _checks(ended)
    assert checks["agent key"] == checks["identity"] == ["failed"]
    assert str(agent) in _messages(ended, "agent key")
    assert "missing/identity.key" in _messages(ended, "identity")
    assert "keys" not in checks, "they do not both lie readable here"


def test_keys_of_different_repositories(tmp_path: Path) -> None:
    env = _env(tmp_path)
    (tmp_path / "other").mkdir()
    assert _init(tmp_path, "./repository", env).code == 0
    assert _init(tmp_path / "other", "./repository", env).code == 0
    config = tmp_path / "drtool.yaml"
    config.write_text(config.read_text().replace("# identity: {file: /media/usb/", "identity: {file: other/away/"))
    assert _checks(drtool("doctor", "--json", cwd=tmp_path, env=env))["keys"] == ["failed", "warning"]


def test_a_host_without_an_agent_key_takes_no_backups(tmp_path: Path) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    config = tmp_path / "drtool.yaml"
    text = config.read_text().replace("# identity: {file: /media/usb/", "identity: {file: away/")
    config.write_text("".join(line for line in text.splitlines(True) if not line.startswith("  agent_key:")))
    checks = _checks(drtool("doctor", "--json", cwd=tmp_path, env=env))
    assert (checks["agent key"], checks["identity"], checks["repository"]) == (["warning"], ["ok"], ["ok"])


@pytest.mark.parametrize("options", [[], ["--storage"]])
@pytest.mark.parametrize("agent", ["whole", "damaged"])
def test_a_mistyped_directory_is_not_made(tmp_path: Path, options: list[str], agent: str) -> None:
    env = _env(tmp_path)
    assert _init(tmp_path, "./repository", env).code == 0
    config = tmp_path / "drtool.yaml"
    config.write_text(config.read_text().replace(str(tmp_path / "repository"), str(tmp_path / "repositry")))
    assert "repositry" in config.read_text()
    if agent == "damaged":
        (tmp_path / "agent.key").write_text("{}")
    ended = drtool("doctor", *options, "--json", cwd=tmp_path, env=env)
    [found] = [line for line in ended.lines if line.get("check") in ("storage", "repository")]
    assert (ended.code, found["verdict"]) == (1, "failed")
    assert found["hint"] == "Mistyped, moved or not mounted? A new one is made with: drtool init"
    assert not (tmp_path / "repositry").exists()


@pytest.mark.heavy
def test_storage_suite_against_s3(tmp_path: Path) -> None:
    with ministack_server(tmp_path) as port:
        make_bucket(port, "backups")
        env = _env(tmp_path) | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        assert _init(tmp_path, "s3://backups/prod", env).code == 0
        ended = drtool("doctor", "--storage", "--json", cwd=tmp_path, env=env)
    checks = _checks(ended)
    assert ended.code == 0, ended.out + ended.err
    failing = {name for name, verdicts in checks.items() if verdicts != ["ok"]}
    assert failing <= {"checksum on arrival"}, "what not every version of MiniStack does"
    assert set(checks) == {check.name for check in CHECKS}


@pytest.mark.heavy
def test_a_store_that_ignores_conditional_puts_is_named_and_refused(tmp_path: Path) -> None:
    with rclone_server(tmp_path) as port:
        make_bucket(port, "backups")
        env = _env(tmp_path) | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        refused = _init(tmp_path, "s3://backups/prod", env)
        assert refused.result["error"]["kind"] == "unsafe-storage"
        assert "If-None-Match" in refused.result["error"]["message"]
        assert not (tmp_path / "away" / "identity.key").exists()
        assert not (tmp_path / "agent.key").exists()
        (tmp_path / "drtool.yaml").write_text(
            "repository: {url: 's3://backups/prod'}\n"
            "sources: {app: {type: mongodb, uri: '${MONGODB_URI}'}}\njobs: {nightly: {sources: [app]}}\n"
        )
        ended = drtool("doctor", "--storage", "--json", cwd=tmp_path, env=env)
    assert ended.code in (0, 1), ended.err
    lost = {line["check"]: line for line in ended.lines if line["type"] == "check" and line["verdict"] != "ok"}
    lost.pop("whole or not at all", None)  # it overwrites in place, which a reader may or may not meet
    assert set(lost) == {
        "create-only put",
        "one of many creates",
        "compare-and-swap put",
        "one of many swaps",
        "checksum on arrival",
    }
    assert {line["verdict"] for line in lost.values()} == {"warning"}
    assert all(line["hint"] for line in lost.values()), "says what is lost"

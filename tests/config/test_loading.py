"""What a whole file becomes, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drtool.config.limits import DEFAULT_MEMORY
from drtool.config.loading import load_config, parse_config
from drtool.config.source_types.mongodb import MongoSettings
from drtool.errors import ConfigError, ExitCode
from tests.config.samples import FILE, VALID, changed, problems, read


def test_valid() -> None:
    config = read(VALID)
    assert config.path == FILE
    assert config.repository.url == "s3://acme-backups/prod"
    assert config.repository.agent_key is not None
    assert config.repository.agent_key.path == Path("/etc/drtool/agent.key")
    source = config.sources["app"]
    assert isinstance(source, MongoSettings)
    assert source.uri.reveal() == "mongodb://127.0.0.1:27017"
    assert source.databases == ("shop",)
    assert config.jobs["nightly"].sources == ("app",)
    assert (config.limits.memory, config.limits.readers) == (DEFAULT_MEMORY, None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("region:", "regoin:", "3: repository.regoin: unknown key; did you mean 'region'?"),
        (
            "    sources: [app]",
            "    sources: [app]\n    scedule: x",
            "14: jobs.nightly.scedule: unknown key; did you mean 'schedule'?",
        ),
        ("jobs:", "job:", "11: job: unknown key; did you mean 'jobs'?"),
        ("databases:", "databses:", "10: sources.app.databses: unknown key; did you mean 'databases'?"),
        ("type: mongodb", "type: mongo", "8: sources.app.type: unknown type of source; did you mean 'mongodb'?"),
        (
            "    type: mongodb\n",
            "",
            "7: sources.app.type: is required: one of chroma, files, lancedb, milvus, mongodb, postgres, qdrant, redis",
        ),
        ("    uri: mongodb://127.0.0.1:27017\n", "", "7: sources.app.uri: is required"),
        ("  url: s3://acme-backups/prod\n", "", "1: repository.url: is required"),
        ("mongodb://127", "http://127", "9: sources.app.uri: must begin with mongodb:// or mongodb+srv://"),
        ("[shop]", "shop", "10: sources.app.databases: must be a list"),
        ("[shop]", "[shop, 7]", "10: sources.app.databases[1]: must be text; put it in quotes"),
        ("[shop]", "\n    - shop\n    - shop.users", "12: sources.app.databases[1]: is no name of a database"),
        ("[app]", "[ap]", "13: jobs.nightly.sources[0]: no source 'ap'; did you mean 'app'?"),
        ("[app]", "[]", "13: jobs.nightly.sources: needs at least 1 entry"),
        ("[app]", "[app, app]", "13: jobs.nightly.sources: names a source twice"),
        ("  nightly:\n    sources: [app]", "  nightly: app", "12: jobs.nightly: must be a mapping of keys"),
        (
            "nightly:",
            "Nightly:",
            "12: jobs.Nightly: a name is made of a-z, 0-9, _ and -, and begins with a letter or a digit",
        ),
        ("  region: eu-central-1", "  url: /elsewhere", "3: repository.url: given twice (first on line 2)"),
        ("https://s3", "s3", "4: repository.endpoint_url: must begin with https:// or http://, with a host after it"),
        ("eu-central-1", "${REGION}", "3: repository.region: environment variable REGION is not set"),
        ("s3://acme-backups/prod", "gs://bucket", "2: repository.url: must be s3://BUCKET/PREFIX or a directory"),
        ("s3://acme-backups/prod", "s3://x/a//b", "2: repository.url: names no valid bucket; write s3://BUCKET/PREFIX"),
        ("/prod", "/a//b", "2: repository.url: the prefix has an empty part, '.' or '..'"),
        (
            "jobs:",
            "limits: {memory: 12}\njobs:",
            "11: limits.memory: must be a size with its unit, such as 300 MB or 1 GiB",
        ),
        ("jobs:", "limits: {memory: 1 MB}\njobs:", "11: limits.memory: must be at least 128 MB"),
        ("jobs:", "limits: {readers: yes}\njobs:", "11: limits.readers: must be a whole number"),
        ("jobs:", "limits: {readers: 0}\njobs:", "11: limits.readers: must be at least 1"),
        ("[shop]", "!!python/object:os.system x", "10: sources.app.databases: YAML tags have no meaning here"),
        ("[shop]", "&a [*a]", "10: sources.app.databases[0]: contains itself"),
    ],
)
def test_mistake(old: str, new: str, expected: str) -> None:
    assert expected in problems(changed(old, new))


def test_one_mistake_is_told_once() -> None:
    assert problems(changed("[app]", "[ap]")) == ["13: jobs.nightly.sources[0]: no source 'ap'; did you mean 'app'?"]
    unset = changed("mongodb://127.0.0.1:27017", "${URI}")
    assert problems(unset) == ["9: sources.app.uri: environment variable URI is not set"]


def test_all_mistakes_at_once_in_the_files_order() -> None:
    text = changed("region:", "regoin:").replace("[app]", "[ap]").replace("databases:", "databses:")
    assert [line.partition(":")[0] for line in problems(text)] == ["3", "10", "13"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", "2:2: "),
        ("a:\n\t- b\n", "2:1: "),
        ("a: b: c\n", "1:5: "),
        ("a: 1\n---\nb: 2\n", "2:1: "),
        ("a: 'x\x07'\n", "1:6: "),
    ],
)
def test_yaml_syntax_has_line_and_column(text: str, place: str) -> None:
    [problem] = problems(text)
    assert problem.startswith(place)


def test_the_yaml_of_a_password_is_not_repeated() -> None:
    [problem] = problems(changed("mongodb://127.0.0.1:27017", "*hunter2"))
    assert problem.startswith("9:10: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_empty(text: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        read(text)


def test_not_a_mapping() -> None:
    assert problems("- a\n- b\n") == ["1: must be a mapping of keys"]


def test_anchors_work() -> None:
    text = changed("[shop]", "&d [shop]").replace(
        "jobs:", "  more: {type: mongodb, uri: 'mongodb://h', databases: *d}\njobs:"
    )
    more = read(text).sources["more"]
    assert isinstance(more, MongoSettings)
    assert more.databases == ("shop",)


def test_bucket_settings_of_a_directory() -> None:
    said = problems(changed("s3://acme-backups/prod", "/srv/backups"))
    assert said == [
        "3: repository.region: has a meaning only for an s3:// repository",
        "4: repository.endpoint_url: has a meaning only for an s3:// repository",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://acme/", "s3://acme"),
        ("s3://acme/a/b/", "s3://acme/a/b"),
        ("backups", "/etc/drtool/backups"),
        ("../backups", "/etc/backups"),
        ("file:///srv/my%20backups", "/srv/my backups"),
        ("~/backups", str(Path.home() / "backups")),
    ],
)
def test_url(url: str, expected: str) -> None:
    text = "\n".join(line for line in VALID.splitlines() if "region" not in line and "endpoint" not in line)
    assert read(text.replace("s3://acme-backups/prod", url)).repository.url == expected


def test_load_reads_and_names_the_file_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("drtool.yaml").write_text(VALID)
    assert load_config().path == tmp_path / "drtool.yaml"
    Path("drtool.yaml").write_text(VALID.replace("region", "regoin"))
    with pytest.raises(ConfigError, match=r"^drtool\.yaml:3: repository\.regoin: ") as caught:
        load_config()
    assert caught.value.exit_code == ExitCode.USAGE


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "drtool.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_config(file)


def test_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "drtool.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_config(file).path == file


KNOWN = {
    "repository": ("url", "region", "endpoint_url", "profile", "ca_bundle", "agent_key", "identity", "state_dir"),
    "limits": ("memory", "readers"),
    "sources.app": ("read_uri", "databases", "exclude", "mongod"),
}


@given(st.data())
def test_a_slip_of_one_letter_finds_the_key(data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(sorted(KNOWN)))
    key = data.draw(st.sampled_from(KNOWN[section]).filter(lambda word: len(word) > 3))
    position = data.draw(st.integers(0, len(key) - 1))
    slip = key[:position] + data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz")) + key[position + 1 :]
    assume(slip not in KNOWN[section])
    lines = {
        "repository": f"repository: {{url: /srv, {slip}: x}}\nsources: {{app: {{type: mongodb, uri: 'mongodb://h'}}}}\n",
        "limits": f"limits: {{{slip}: x}}\n",
        "sources.app": f"sources: {{app: {{type: mongodb, uri: 'mongodb://h', {slip}: x}}}}\n",
    }
    said = problems(lines[section])
    assert f"1: {section}.{slip}: unknown key; did you mean '{key}'?" in said


@given(st.text())
def test_no_text_is_more_than_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, FILE, {})

"""The file that ``drtool init`` writes is a valid one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drtool.config.source_types.mongodb import MongoSettings
from drtool.config.template import render_template
from tests.config.samples import problems, read

URI = {"MONGODB_URI": "mongodb://db.example.org"}
PRINTABLE = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"], exclude_characters="/\0~\ufeff")
PART = st.text(PRINTABLE, min_size=1, max_size=12).filter(lambda part: part.strip() and part not in (".", ".."))
ABSOLUTE = st.lists(PART, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def test_complete_once_the_address_is_set() -> None:
    text = render_template("s3://acme-backups/prod", "/etc/drtool/agent.key")
    line = text.splitlines().index('    uri: "${MONGODB_URI}"') + 1
    assert problems(text) == [f"{line}: sources.app.uri: environment variable MONGODB_URI is not set"]
    config = read(text, URI)
    assert config.repository.identity is None
    source = config.sources["app"]
    assert isinstance(source, MongoSettings)
    assert source.uri.reveal() == URI["MONGODB_URI"]


def test_what_is_commented_out_is_valid_too() -> None:
    text = render_template("/srv/backups", "agent.key")
    lines = [line.replace("# ", "", 1) if _is_setting(line) else line for line in text.splitlines()]
    config = read("\n".join(lines), URI)
    source = config.sources["app"]
    assert isinstance(source, MongoSettings)
    assert source.databases
    assert source.exclude
    assert config.repository.identity is not None
    assert config.relations
    assert len(config.notify) == 2
    assert config.limits.readers == 4


def _is_setting(line: str) -> bool:
    words = line.strip().removeprefix("#").strip().split()
    return line.strip().startswith("#") and bool(words) and words[0].endswith(":") and words[0].islower()


@given(ABSOLUTE, ABSOLUTE, st.none() | ABSOLUTE)
def test_any_directory_and_key_round_trip(repository: str, key: str, identity: str | None) -> None:
    config = read(render_template(repository, key, identity_path=identity), URI)
    assert config.repository.url == repository
    assert config.repository.agent_key is not None
    assert config.repository.agent_key.path == Path(key)
    assert (config.repository.identity.path if config.repository.identity else None) == (
        None if identity is None else Path(identity)
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "region": st.text(PRINTABLE, min_size=1),
            "profile": st.text(PRINTABLE, min_size=1),
            "endpoint_url": st.sampled_from(["https://s3.example.org", "http://127.0.0.1:9000", "https://[::1]:9"]),
            "ca_bundle": ABSOLUTE,
        },
    )
)
def test_bucket_settings_round_trip(settings: dict[str, Any]) -> None:
    repository = read(render_template("s3://acme-backups/prod", "agent.key", **settings), URI).repository
    for name in ("region", "profile", "endpoint_url"):
        assert getattr(repository, name) == settings.get(name)
    assert repository.ca_bundle == (Path(settings["ca_bundle"]) if "ca_bundle" in settings else None)

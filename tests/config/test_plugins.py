"""Types of sources that other packages bring, and the JSON Schema that lists them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drtool.config.schema import json_schema
from drtool.config.sources import BUILT_IN
from tests.config.samples import changed, problems, read

PACKAGE = """
from drtool.config.secrets import Secret
from drtool.config.source_types.base import SourceSettings

class Settings(SourceSettings):
    token: Secret
    depth: int = 1

class Tape:
    Settings = Settings

class Bare:
    pass
"""
TAPE = "type: tape\n    token: {env: T}"


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with one good source and three broken ones."""
    (tmp_path / "drtool_tape.py").write_text(PACKAGE)
    metadata = tmp_path / "drtool_tape-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: drtool-tape\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[drtool.sources]\ntape = drtool_tape:Tape\nbare = drtool_tape:Bare\n"
        "lost = drtool_tape:Lost\ngone = no_such_module:X\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "drtool_tape", raising=False)


def with_type(text: str) -> str:
    """The sample with another kind of source."""
    return changed("type: mongodb\n    uri: mongodb://127.0.0.1:27017\n    databases: [shop]", text)


@pytest.mark.usefixtures("plugins")
def test_settings_of_a_plugin() -> None:
    source = read(with_type(TAPE)).sources["app"]
    assert source.model_dump()["token"] == "Secret(sources.app.token, from env)"
    assert source.model_dump()["depth"] == 1


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TAPE}\n    dept: 2", "10: sources.app.dept: unknown key; did you mean 'depth'?"),
        ("type: tape", "7: sources.app.token: is required"),
        ("type: tapes", "8: sources.app.type: unknown type of source; did you mean 'tape'?"),
        ("type: bare", "8: sources.app.type: the package that offers it has no Settings that drtool understands"),
        (
            "type: gone",
            "8: sources.app.type: the package that offers it cannot be loaded: No module named 'no_such_module'",
        ),
    ],
)
def test_mistakes_with_plugins(text: str, expected: str) -> None:
    assert problems(with_type(text)) == [expected]


@pytest.mark.usefixtures("plugins")
def test_a_plugin_without_its_class() -> None:
    [problem] = problems(with_type("type: lost"))
    assert problem.startswith("8: sources.app.type: the package that offers it cannot be loaded: ")


@pytest.mark.usefixtures("plugins")
def test_schema_lists_what_can_be_loaded() -> None:
    schema = json_schema()
    [kinds] = schema["properties"]["sources"]["patternProperties"].values()
    names = {kind["$ref"].rpartition("/")[2] for kind in kinds["oneOf"]}
    assert names == {*BUILT_IN.values(), "Settings"}
    assert schema["$defs"]["MongoSettings"]["properties"]["type"]["const"] == "mongodb"


def test_schema_is_closed_and_complete() -> None:
    schema = json_schema()
    assert schema["required"] == ["repository", "sources", "jobs"]
    references = {part.split('"')[0] for part in repr(schema).replace("'", '"').split("#/$defs/")[1:]}
    assert references == schema["$defs"].keys()
    for definition in (schema, *schema["$defs"].values()):
        assert definition["additionalProperties"] is False
    key = schema["$defs"]["RepositorySettings"]["properties"]["agent_key"]
    assert {"type": "string"} not in key["anyOf"]
    assert schema["$defs"]["Limits"]["properties"]["memory"]["default"] == "300 MB"

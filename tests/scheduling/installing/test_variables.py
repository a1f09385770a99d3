"""What drtool takes from the environment of a shell, and how it gets to where there is no shell."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.root import Config
from drtool.errors import InstallationError
from drtool.scheduling.installing.variables import as_file, names_in, variables_of

_VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def test_what_the_configuration_names_is_needed(config: Config) -> None:
    found = variables_of(config)
    assert found.needed == ("MONGODB_URI", "REDIS_URI"), "a default stands in for DATABASE, which is not set"


def test_a_default_that_is_overridden_here_is_needed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", "shop")
    assert "DATABASE" in variables_of(config).needed


def test_names_of_things_are_handed_on_and_secrets_are_not(config: Config) -> None:
    found = variables_of(config)
    assert found.settings["AWS_PROFILE"] == "backups"
    assert "AWS_ACCESS_KEY_ID" in found.ambient
    assert "AWS_SECRET_ACCESS_KEY" in found.ambient
    assert not set(found.ambient) & found.settings.keys()


def test_credentials_that_expire_are_not_kept(config: Config) -> None:
    found = variables_of(config, {**os.environ, "AWS_SESSION_TOKEN": "soon"})
    assert found.temporary
    assert not [name for name in found.ambient if name.startswith("AWS")]


@given(_VALUE)
def test_a_shell_reads_the_values_back(value: str) -> None:
    text = as_file(["VALUE"], {"VALUE": value})
    script = f"set -a\n{text}exec printenv VALUE"
    done = subprocess.run(
        ["sh"], input=script.encode(), capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.stdout == f"{value}\n".encode()


@given(_VALUE)
def test_systemd_reads_the_same(value: str) -> None:
    text = as_file(["VALUE"], {"VALUE": value})
    assert _read_by_systemd(text.partition("VALUE=")[2].removesuffix("\n")) == value


def _read_by_systemd(text: str) -> str:
    """A quoted value, by systemd.exec(5), EnvironmentFile=: between single quotes nothing is special; between double
    quotes a backslash stands before one of four characters, or before the end of a line, which goes with it."""
    quote, inner = text[0], text[1:-1]
    assert text[-1] == quote
    if quote == "'":
        assert "'" not in inner
        return inner
    assert not re.search(r'(?<!\\)(?:\\\\)*"', inner)
    return re.sub(r'\\(["\\`$\n])', lambda match: "" if match[1] == "\n" else match[1], inner)


def test_names_are_found_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# X=1\nMONGODB_URI='a=b'\n  OTHER=\n\nexport SHELL_ONLY=1\n", encoding="utf-8")
    assert names_in(file) == {"MONGODB_URI", "OTHER"}
    with pytest.raises(InstallationError, match="cannot read"):
        names_in(tmp_path / "none")

"""The last good configuration: kept for its owner only, and found whatever became of the file."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest

from drtool.operations.doctor.unattended import examine_unattended
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended
from drtool.operations.unattended.configuration.keeping import is_found_by_path, keep, last_good
from tests.operations.unattended.configuration.calling import CalledHost, NamedHost


def _copy(host: CalledHost) -> Path:
    (copy,) = (host.host.directory / "state" / "configurations").iterdir()
    return copy


def _examined(host: CalledHost) -> list[str]:
    """What doctor says of the configuration; targets, which come after the runs, are not called for it."""
    found = takewhile(lambda one: not one.check.startswith("runs"), examine_unattended(host.host.config))
    return [one.message for one in found if one.check == "configuration"]


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default state directory cannot be written, as for a service that systemd confines."""
    (tmp_path / "nowhere").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nowhere"))


def test_it_is_kept_for_its_owner_and_written_only_where_it_changed(host: CalledHost) -> None:
    copy = _copy(host)
    first = copy.stat()
    assert first.st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    host.call("20 16:01")
    assert copy.stat().st_ino == first.st_ino
    host.host.file.write_text(f"# changed\n{host.host.file.read_text()}")
    host.call("20 16:02")
    assert _copy(host) == copy
    assert copy.stat().st_ino != first.st_ino
    kept = last_good(host.host.file)
    assert kept is not None
    assert kept.text == host.host.file.read_text()
    assert kept.read().config == host.host.config


def test_what_is_broken_is_not_kept(host: CalledHost) -> None:
    sound = host.host.file.read_text()
    host.damage()
    host.call("20 17:00")
    kept = last_good(host.host.file)
    assert kept is not None
    assert kept.text == sound


def test_until_schedule_run_could_use_one_that_of_a_run_by_hand_is_kept(fresh: CalledHost) -> None:
    file = fresh.host.file
    assert _kept_after_a_run_by_hand(fresh) == file.read_text()
    file.write_text(f"# two\n{file.read_text()}")
    assert _kept_after_a_run_by_hand(fresh) == file.read_text()
    fresh.call("20 17:00")
    used = file.read_text()
    file.write_text(f"# three\n{used}")
    assert _kept_after_a_run_by_hand(fresh) == used


def _kept_after_a_run_by_hand(host: CalledHost) -> str:
    with attended(host.host.config, "verify", Silent(), clock=host.clock, environment={}):
        pass
    kept = last_good(host.host.file)
    assert kept is not None
    return kept.text


def test_each_file_has_its_own(host: CalledHost, tmp_path: Path) -> None:
    assert last_good(tmp_path / "other.yaml") is None
    (tmp_path / "other.yaml").write_text(host.host.file.read_text())
    assert last_good(tmp_path / "other.yaml") is None


@pytest.mark.usefixtures("confined")
def test_a_default_state_directory_that_cannot_be_written(host: CalledHost) -> None:
    """The file itself is asked then; where it is gone, nobody hears of it, which doctor says."""
    host.write()
    assert host.call("20 16:30") is None
    assert host.reporter.warnings == []
    assert not is_found_by_path(host.host.config)
    assert len(_examined(host)) == 1
    host.damage()
    host.call("20 17:00")
    assert host.told() == ["open"]
    host.host.file.write_text(f"{host.host.file.read_text()}\n]")
    host.call("20 17:05")
    assert host.told() == ["open", "still open"]
    host.host.file.unlink()
    host.call("20 17:15")
    assert len(host.told()) == 2
    assert host.reporter.warnings[0].startswith("nobody is told")


def test_an_account_without_a_home(host: CalledHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's, whose user has no entry in passwd."""
    host.write()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", _homeless)
    assert host.call("20 16:30") is None
    assert not is_found_by_path(host.host.config)
    host.damage()
    assert host.call("20 17:00") is not None
    assert host.told() == ["open"]


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_an_old_note_does_not_count_where_the_file_says_otherwise(
    host: CalledHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The state directory was moved by who may not write the note."""
    file, home = host.host.file, os.environ["XDG_STATE_HOME"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-home"))
    file.write_text(file.read_text().replace("state_dir: state", "state_dir: elsewhere"))
    assert host.call("20 16:30") is None
    monkeypatch.setenv("XDG_STATE_HOME", home)
    host.damage()
    kept = last_good(file)
    assert kept is not None
    assert kept.state_dir.name == "elsewhere"


def test_the_file_that_is_there_counts_before_one_that_was(host: CalledHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lay in the directory that was looked at first, and the user's own is broken."""
    monkeypatch.delenv("DRTOOL_CONFIG", raising=False)
    monkeypatch.chdir(host.host.directory)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(host.host.directory / "home"))
    own = host.host.directory / "home" / "drtool" / "drtool.yaml"
    own.parent.mkdir(parents=True)
    host.host.file.rename(own)
    assert last_good() is None
    named = replace(host, host=NamedHost(host.host.directory, own))
    assert named.call("20 16:30") is None
    named.damage()
    kept = last_good()
    assert kept is not None
    assert kept.path == own


def test_what_is_no_file_is_not_read() -> None:
    """A pipe may never end."""
    out, into = os.pipe()
    try:
        os.write(into, b"x")
        os.close(into)
        assert last_good(Path(f"/dev/fd/{out}")) is None
        assert os.read(out, 1) == b"x"
    finally:
        os.close(out)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_does_not_go_by_what_another_user_keeps(host: CalledHost) -> None:
    """Commands are run by it."""
    sound = host.host.file.read_text()
    os.chown(_copy(host), 12345, 12345)
    host.damage()
    host.call("20 17:00")
    assert host.told() == []
    assert "that of the user 12345" in host.reporter.warnings[0]
    host.host.file.write_text(sound)
    host.call("20 17:01")
    host.damage()
    host.call("20 17:02")
    assert host.told() == ["open"], "it was kept anew as root's"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_keeps_it_as_its_own_in_the_directory_of_another_user(host: CalledHost) -> None:
    os.chown(_copy(host).parent, 12345, 12345)
    host.host.file.write_text(f"# changed\n{host.host.file.read_text()}")
    host.call("20 16:30")
    assert _copy(host).stat().st_uid == 0


def test_doctor_has_nothing_to_say_where_all_is_well(host: CalledHost) -> None:
    assert is_found_by_path(host.host.config)
    assert _examined(host) == []


def test_doctor_says_that_schedule_run_cannot_use_what_can_be_used_from_here(host: CalledHost) -> None:
    sound = host.host.file.read_text()
    host.damage()
    host.call("20 17:00")
    host.host.file.write_text(sound)
    (message,) = _examined(host)
    assert "since 2026-11-20 17:00 UTC" in message


def test_a_state_directory_that_moves(host: CalledHost) -> None:
    text = host.host.file.read_text().replace("state_dir: state", "state_dir: elsewhere")
    host.host.file.write_text(text)
    keep(host.host.config)
    host.host.file.unlink()
    kept = last_good(host.host.file)
    assert kept is not None
    assert (kept.text, kept.state_dir.name) == (text, "elsewhere")


def test_the_usual_places_are_looked_at(host: CalledHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.host.file.unlink()
    monkeypatch.delenv("DRTOOL_CONFIG", raising=False)
    monkeypatch.chdir(host.host.directory)
    kept = last_good()
    assert kept is not None
    assert kept.path == host.host.file

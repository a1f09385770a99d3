"""The file that the node exporter reads at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.errors import MetricsError
from drtool.monitoring.textfile import amend_textfile, write_textfile


def test_it_is_replaced_whole_and_readable_for_the_exporter(tmp_path: Path) -> None:
    path = tmp_path / "drtool.prom"
    write_textfile(path, "old 1\n")
    with path.open() as reading:
        write_textfile(path, "new 2\n")
        assert reading.read() == "old 1\n", "who has it open reads what it was"
    assert path.read_text() == "new 2\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match="No such file") as caught:
        write_textfile(tmp_path / "collector" / "drtool.prom", "x 1\n")
    assert "Make the directory" in caught.value.hint


def test_one_metric_is_changed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "drtool.prom"
    path.write_text('# TYPE x gauge\nx 1\nx{a="} 5"} 1\nx_y 1\ny{a="x 1"} 1.5\n')
    amend_textfile(path, "x", 0)
    assert path.read_text() == '# TYPE x gauge\nx 0\nx{a="} 5"} 0\nx_y 1\ny{a="x 1"} 1.5\n'
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_not_there_is_not_made_for_it(tmp_path: Path) -> None:
    amend_textfile(tmp_path / "drtool.prom", "x", 0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "drtool.prom").mkdir()
    with pytest.raises(MetricsError, match="cannot read"):
        amend_textfile(tmp_path / "drtool.prom", "x", 0)


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "drtool.prom"
    path.mkdir()
    with pytest.raises(MetricsError):
        write_textfile(path, "x 1\n")
    assert list(tmp_path.iterdir()) == [path]

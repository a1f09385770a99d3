"""drtool's blocks in a crontab: nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import RefusedError
from drtool.scheduling.installing.blocks import blocks_of, with_block, without_block

_LINE = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=30).filter(
    lambda line: not line.startswith(("# >>> drtool", "# <<< drtool"))
)
_TABLE = st.lists(_LINE, max_size=6).map(lambda lines: "".join(f"{line}\n" for line in lines))
_CONFIG = st.sampled_from([Path("/etc/drtool/drtool.yaml"), Path("/srv/a b/drtool.yaml"), Path("/x")])


def _block(config: Path, line: str = "* * * * * drtool") -> str:
    return f"# >>> drtool {config} >>>\n{line}\n# <<< drtool {config} <<<\n"


@given(_TABLE, _CONFIG)
def test_what_is_put_in_goes_out_and_leaves_every_byte(table: str, config: Path) -> None:
    assert without_block(with_block(table, config, _block(config)), config) == table


@given(_TABLE, _TABLE, _CONFIG)
def test_a_second_time_it_is_replaced_where_it_is(before: str, after: str, config: Path) -> None:
    table = before + _block(config) + after
    assert with_block(table, config, _block(config, "other")) == before + _block(config, "other") + after


@given(_TABLE, _TABLE)
def test_configurations_do_not_touch_each_other(before: str, after: str) -> None:
    one, other = Path("/one"), Path("/other")
    table = before + _block(one) + after
    both = with_block(table, other, _block(other))
    assert [block.config for block in blocks_of(both)] == [one, other]
    assert without_block(both, one) == before + after + _block(other)


def test_copies_of_a_block_become_one() -> None:
    config = Path("/x")
    table = _block(config) + "mine\n" + _block(config)
    assert with_block(table, config, _block(config, "new")) == _block(config, "new") + "mine\n"


def test_a_table_without_a_newline_at_its_end_gets_one() -> None:
    assert with_block("mine", Path("/x"), _block(Path("/x"))) == "mine\n" + _block(Path("/x"))


@pytest.mark.parametrize(
    "table",
    [
        "# >>> drtool /x >>>\nmine\n",
        "mine\n# <<< drtool /x <<<\n",
        "# >>> drtool /x >>>\n# >>> drtool /y >>>\n# <<< drtool /y <<<\n",
        "# >>> drtool /x >>>\n# <<< drtool /y <<<\n",
    ],
)
def test_a_block_without_its_end_is_left_alone(table: str) -> None:
    with pytest.raises(RefusedError, match="its first or its last line is missing"):
        with_block(table, Path("/z"), _block(Path("/z")))
    with pytest.raises(RefusedError):
        without_block(table, Path("/x"))

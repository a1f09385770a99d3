"""Running the command line as users do: as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HIDDEN = "tests.cli.hidden"


@dataclass(frozen=True)
class Ended:
    """What is left of a process."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The result line: the last one, and the only one of its type."""
        assert [line["type"] for line in self.lines].count("result") == 1
        assert self.lines[-1]["type"] == "result"
        assert self.lines[-1]["exit_code"] == self.code
        assert self.lines[-1]["ok"] is (self.code == 0)
        return self.lines[-1]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what drtool looks at but for the tests' own default state directory, and with
    `extra`.

    Nor does it keep Python from keeping its compiled modules: each process would compile drtool anew.
    """
    left_out = ("DRTOOL", "_DRTOOL", "XDG_", "PYTHONDONTWRITEBYTECODE")
    kept = {
        name: value for name, value in os.environ.items() if name == "XDG_STATE_HOME" or not name.startswith(left_out)
    }
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "100", **(extra or {})}


def command(*arguments: str, module: str = "drtool") -> list[str]:
    """The program with `arguments`."""
    return [sys.executable, "-m", module, *arguments]


def drtool(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, module: str = "drtool"
) -> Ended:
    """Run it to its end."""
    done = subprocess.run(
        command(*arguments, module=module),
        cwd=cwd or ROOT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def hidden(*arguments: str) -> Ended:
    """Run it with the commands of tests/cli/hidden.py."""
    return drtool(*arguments, module=HIDDEN)


def imported(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that a command has imported when it is done, well or not."""
    script = (
        "import json, sys\nfrom drtool.cli.main import run\n"
        f"run({list(arguments)!r})\nprint(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd or ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))

"""Trees of files against restic: many small files and a few large ones, backed up, changed a little, and restored."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.bench import measure
from tests.bench.measure import Measured

TITLE = "files"
SMALL_FILES = 40_000
LARGE_FILES = 4
LARGE_BYTES = 100_000_000
_PER_DIRECTORY = 50
_WORDS = 4_000
#: One in so many small files is changed before the second backup, and one large file is appended to.
_CHANGED = 100


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each part and contestant."""
    with tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as name:
        directory = Path(name)
        tree = directory / "tree"
        size = _fill(tree, scale)
        contestants: list[_Drtool | _Restic] = [_Drtool(directory / "drtool", tree)]
        if shutil.which("restic"):
            contestants.append(_Restic(directory / "restic", tree))
        figures: dict[tuple[str, str], list[Measured]] = {}
        for number in range(runs):
            for one in contestants:
                one.begin()
            for part in ("first", "second", "restore"):
                if part == "second":
                    _change(tree, number)
                for one in contestants:
                    figures.setdefault((part, one.name), []).append(one.parts[part]())
    lines = [f"{round(SMALL_FILES * scale):,} small files and {LARGE_FILES} large ones, {size / 1e6:.0f} MB"]
    lines += [_line(part, name, measured) for (part, name), measured in figures.items()]
    if len(contestants) == 1:
        lines.append("  restic is not installed, so not compared with")
    return "\n".join(lines)


def _line(part: str, name: str, measured: Sequence[Measured]) -> str:
    seconds, cpu = median(one.seconds for one in measured), median(one.cpu for one in measured)
    peak = median(one.peak for one in measured)
    return f"  {part:<8} {name:<8} {seconds:>6.2f} s, {cpu:>6.2f} s of processors, {peak / 1e6:>5.0f} MB at most"


class _Drtool:
    """drtool with a repository in a directory."""

    name = "drtool"

    def __init__(self, directory: Path, tree: Path) -> None:
        self._directory, self._tree = directory, tree
        self.parts: Mapping[str, Callable[[], Measured]] = {
            "first": lambda: self._run("backup"),
            "second": lambda: self._run("backup"),
            "restore": self._restore,
        }

    def begin(self) -> None:
        """An empty repository."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        (self._directory / "drtool.yaml").write_text(
            "repository: {url: repository, agent_key: {file: agent.key}, identity: {file: identity.key},"
            " state_dir: state, cache_dir: cache}\n"
            f"sources: {{code: {{type: files, paths: ['{self._tree}']}}}}\n"
            "jobs: {nightly: {sources: [code]}}\n",
            encoding="utf-8",
        )
        self._run("init", "--identity-out", "identity.key")

    def _restore(self) -> Measured:
        return self._run("restore", "latest", "--to", "restored")

    def _run(self, *arguments: str) -> Measured:
        command = [sys.executable, "-m", "drtool", *arguments]
        return measure.run([command], cwd=self._directory, env=os.environ, server=os.getpid())


class _Restic:
    """restic with a repository in a directory."""

    name = "restic"

    def __init__(self, directory: Path, tree: Path) -> None:
        self._directory, self._tree = directory, tree
        self.parts: Mapping[str, Callable[[], Measured]] = {
            "first": lambda: self._run("backup", str(tree)),
            "second": lambda: self._run("backup", str(tree)),
            "restore": lambda: self._run("restore", "latest", "--target", "restored"),
        }

    def begin(self) -> None:
        """An empty repository."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        self._run("init")

    def _run(self, *arguments: str) -> Measured:
        known = {"RESTIC_REPOSITORY": str(self._directory / "repository"), "RESTIC_PASSWORD": "bench"}
        known["RESTIC_CACHE_DIR"] = str(self._directory / "cache")
        command = ["restic", "--quiet", *arguments]
        return measure.run([command], cwd=self._directory, env=os.environ | known, server=os.getpid())


def _fill(tree: Path, scale: float) -> int:
    """Make the tree; its bytes. Small files are text of a few kilobytes, as source code is; large ones half random."""
    chance = random.Random(3)
    words = [chance.randbytes(chance.randint(1, 5)).hex() for _ in range(_WORDS)]
    size = 0
    for number in range(round(SMALL_FILES * scale)):
        directory = tree / f"package {number // _PER_DIRECTORY // 20:03}" / f"module {number // _PER_DIRECTORY:05}"
        if number % _PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        text = " ".join(chance.choices(words, k=max(1, round(chance.lognormvariate(5.5, 1)))))
        size += directory.joinpath(f"file {number:06}.py").write_text(text, encoding="ascii")
    (tree / "data").mkdir(parents=True)
    for number in range(LARGE_FILES):
        with (tree / "data" / f"{number}.bin").open("wb") as file:
            for _ in range(round(LARGE_BYTES * scale / 2_000_000)):
                block = chance.randbytes(1_000_000)
                size += file.write(block) + file.write(block.hex().encode("ascii")[:1_000_000])
    return size


def _change(tree: Path, number: int) -> None:
    chance = random.Random(number)
    for path in chance.sample(sorted(tree.rglob("*.py")), max(1, sum(1 for _ in tree.rglob("*.py")) // _CHANGED)):
        path.write_text(f"changed {number}\n{path.read_text(encoding='ascii')}", encoding="ascii")
    with (tree / "data" / "0.bin").open("ab") as file:
        file.write(chance.randbytes(5_000_000))

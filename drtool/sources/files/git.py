"""Which commit a tree is, where it is a git checkout: for an application's code, the first question afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from drtool.sources.files.walking import Tree, shown

_SECONDS = 20.0
_COMMIT = re.compile(rb"[0-9a-f]{40,64}")
#: A checkout's own configuration can name programs for git to start: none of these, and all as its owner.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")


@dataclass(frozen=True, slots=True)
class Checkout:
    """What git says of a tree: the commit (hex; empty where it has none) and whether nothing differs from it; or why
    it says nothing."""

    commit: str = ""
    clean: bool = False
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a view's point."""
        return {"unknown": self.why_not} if self.why_not else {"commit": self.commit, "clean": self.clean}


def checkout_of(tree: Tree) -> Checkout | None:
    """None where the tree is no checkout."""
    inside = tree.at(b".git")
    try:
        owner = os.lstat(inside)
    except OSError:
        return None
    runs_as: dict[str, Any] = {}
    if os.geteuid() == 0 and owner.st_uid != 0:
        runs_as = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": ()}
    try:
        commit = _git(tree, runs_as, "rev-parse", "--verify", "HEAD").strip()
        changes = _git(tree, runs_as, "status", "--porcelain", "--ignore-submodules=dirty")
    except FileNotFoundError:
        return Checkout(why_not="git is not installed")
    except subprocess.TimeoutExpired:
        return Checkout(why_not=f"git did not answer within {_SECONDS:.0f} s")
    except subprocess.CalledProcessError as error:
        told = (error.stderr or b"").strip().splitlines()
        return Checkout(why_not=shown(told[0][:200]) if told else f"git ended with {error.returncode}")
    except (OSError, subprocess.SubprocessError) as error:
        return Checkout(why_not=f"git could not be started: {error}")
    if not _COMMIT.fullmatch(commit):
        return Checkout(why_not="git gave no commit")
    return Checkout(commit.decode("ascii"), not changes)


def _git(tree: Tree, runs_as: dict[str, Any], *arguments: str) -> bytes:
    kept = {key: value for key, value in os.environ.items() if key == "PATH" or key.startswith("LC_")}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        ["git", *_SAFE, "-C", tree.root, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=_SECONDS,
        env=kept | {"GIT_TERMINAL_PROMPT": "0"},
        **runs_as,
    )
    return done.stdout

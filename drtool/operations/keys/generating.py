"""A new identity, made where it will be kept: only its public half leaves that place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drtool.errors import DrtoolError, UsageError
from drtool.operations.keys.files import require_free, write_key
from drtool.repository.identity import Identity
from drtool.repository.primitives import KEY_BYTES
from drtool.repository.public_file import PublicHalf


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made: the identity's public half, and the file that holds the rest."""

    public: PublicHalf
    path: Path


def generate(path: Path, root: bytes, public_path: Path | None = None) -> Generated:
    """Make an identity that believes `root` (a repository's root public key) and write it to a new file.

    With `public_path`, its public half goes to that file: what the repository's owner is to be given.
    """
    for each in (path, public_path):
        if each is not None:
            require_free(each)
    if public_path is not None and public_path.absolute() == path.absolute():
        raise UsageError(
            "the identity and its public half cannot be one file", hint="Only the public half is given away."
        )
    identity = Identity.generate(root)
    public = PublicHalf.of(identity)
    write_key(path, identity.to_file(_COMMENT))
    if public_path is not None:
        try:
            write_key(public_path, public.to_text())
        except DrtoolError:
            path.unlink()  # so that the command can be run again; nobody has seen this identity
            raise
    return Generated(public, path)


def parse_root(text: str) -> bytes:
    """A root public key as `key list` prints it; ``UsageError`` for anything else."""
    try:
        root = bytes.fromhex(text)
    except ValueError:
        root = b""
    if len(root) != KEY_BYTES:
        raise UsageError(f"a root has {KEY_BYTES * 2} hexadecimal digits", hint="drtool key list shows it.")
    return root


_COMMENT = (
    "drtool identity of a further recipient\n"
    "It reads what is sealed to it once the repository's owner has added it. Keep it off the backup host."
)

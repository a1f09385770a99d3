"""The paper key: an identity as text that can be printed, and typed in again."""

from __future__ import annotations

from drtool.errors import KeyFileError
from drtool.repository import paper
from drtool.repository.identity import Identity

_HEAD = """\
DRTOOL PAPER KEY

Whoever has this paper can read every backup that was sealed to it. Without any copy of this identity,
and without another recipient, nobody can. Keep it where the backups are not.
"""
_FOOT = """\
To use it: type {what}, with slashes, into a file, as they stand above (capitals do not matter; there are no
digits 0, 1, 8 and 9 in a group), then

    drtool key check FILE --out identity.key

It names every group that was mistyped, and shows {shown} above.
"""
_OF_THE_ROOT = {"what": "the groups", "shown": "the fingerprint, which must be the one"}
#: Nothing in the groups tells whether the line before them is right, or there.
_OF_ANOTHER = {
    "what": "the line that begins with root, then the groups",
    "shown": "fingerprint and root, which must be the ones",
}


def to_print(identity: Identity, repository: str, url: str) -> str:
    """The page; `repository` is its id (hex), `url` where it lies."""
    facts = f"repository   {repository}\nat           {url}\nfingerprint  {identity.recipient.fingerprint.hex()}\n"
    rows = "\n".join(f"    {line}" for line in paper.to_lines(identity))
    foot = _FOOT.format(**(_OF_THE_ROOT if identity.pinned_root is None else _OF_ANOTHER))
    return f"{_HEAD}\n{facts}\n{rows}\n\n{foot}"


def read_typed(text: str, origin: str) -> Identity:
    """The identity in a text that was typed in from paper, or in an identity file. ``KeyFileError`` says what is wrong
    with it, group by group where it came from paper."""
    if paper.is_paper(text):
        return paper.from_typed(text, origin)
    try:
        return Identity.from_text(text, origin)
    except KeyFileError as error:
        raise KeyFileError(
            error.message, hint=f"{error.hint} From paper, type every group with its slash: ABCDEF/G.".lstrip()
        ) from error

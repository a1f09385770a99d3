"""Is what lies under a name what was once put there? For choosing among the versions of an object."""

from __future__ import annotations

import hashlib

from drtool.errors import RepositoryError
from drtool.repository.keyring import Keyring
from drtool.repository.packs import decode_added_slots
from drtool.repository.sealed import Kind, open_object
from drtool.repository.trust import RepositoryDocument, checked_lines

_SEALED = {
    "snapshots/": Kind.MANIFEST,
    "removals/": Kind.REMOVAL,
    "pins/": Kind.PIN,
    "distrust/": Kind.DISTRUST,
    "evidence/": Kind.EVIDENCE,
    "oplog/": Kind.SEGMENT,
    "audit/": Kind.AUDIT,
}
#: What is put once, and signed: of several versions that pass the checks the first is right, because whoever stole a
#: key can sign others under the same name.
FIRST_COUNTS = tuple(_SEALED)
#: What is put once and never replaced: of several versions the first is the likeliest to be right.
PUT_ONCE = ("packs/", "index/", *FIRST_COUNTS)


def is_genuine(name: str, data: bytes, keyring: Keyring, document: RepositoryDocument) -> bool:
    """Does `data` pass the checks of `name`? Of names without any everything does. Whether added slots open shows only
    when they are used: here it counts that they are such.

    What a name says of its content, and who signed: docs/format.md, "Object Lock".
    """
    if name.startswith(("packs/", "index/")):
        return hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    try:
        if name.startswith("keys/"):
            checked_lines("escrow" if name.endswith(".escrow") else "keys", data, document.root, name)
        if name.startswith("slots/"):
            return bool(decode_added_slots(data, name))
        kind = next((kind for prefix, kind in _SEALED.items() if name.startswith(prefix)), None)
        if kind is not None:
            open_object(kind, name, data, keyring, document)
    except RepositoryError:
        return False
    return True

"""May the account do what a replay does? Asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from pymongo.errors import OperationFailure

from drtool.errors import AuthenticationError
from drtool.sources.mongodb.connection import UNAUTHORIZED, Client, Document
from drtool.sources.mongodb.names import MARKER_COLLECTION

#: An `_id` that no marker has, as each names its snapshot.
_NOBODY = ""


def require_right_to_replay(client: Client, databases: Iterable[str]) -> None:
    """``AuthenticationError`` where it lacks the right to applyOps in these databases; other errors of pymongo.

    The server looks at the rights before it does anything, and checks each operation like the command that does the
    same; so it is given a deletion and an update of a record that does not exist, which leave no trace.
    """
    for database in databases:
        namespace = f"{database}.{MARKER_COLLECTION}"
        command: Document = {
            "applyOps": [
                {"op": "d", "ns": namespace, "o": {"_id": _NOBODY}},
                {"op": "u", "ns": namespace, "o": {"$v": 2, "diff": {}}, "o2": {"_id": _NOBODY}},
            ],
            "allowAtomic": False,
            "alwaysUpsert": False,
            "bypassDocumentValidation": True,
        }
        reply = client.admin.command(command, check=False)
        code = int(reply.get("code", 0))
        if code == UNAUTHORIZED:
            raise not_permitted()
        if not reply["ok"] and "results" not in reply:
            raise OperationFailure(str(reply.get("errmsg", "")), code, reply)


def not_permitted() -> AuthenticationError:
    """That the account may not replay."""
    return AuthenticationError(
        "the account may not do again what the oplog holds (applyOps)",
        hint="Grant it readWriteAnyDatabase and dbAdminAnyDatabase beside restore, or the role for a replay that"
        " doctor prints.",
    )

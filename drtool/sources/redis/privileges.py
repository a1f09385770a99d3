"""What a user of the server may do, and the commands that grant what is needed (ACL, from Redis 6 on)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drtool.sources.base import Lack
from drtool.sources.extras import require
from drtool.sources.redis.connection import Client, Server

#: A key that nobody has.
NO_KEY = "drtool:no-such-key"
_COMMON = "-@all +@connection +@read +select +info +config|get"


def roles() -> Mapping[str, str]:
    """See ``Source.roles``: for redis-cli, from Redis 6 on."""
    return {
        "backup": f"ACL SETUSER drtool_backup on >PASSWORD ~* {_COMMON} +multi +psync +replconf +time",
        "restore": f"ACL SETUSER drtool_restore on >PASSWORD ~* {_COMMON} +@write",
    }


def lacks(client: Client, server: Server, method: str) -> Iterator[Lack]:
    """What the user needs for a backup and does not have, found by asking; nothing is read."""
    without_dump = "" if method == "scan" else why_no_dump(client, server)
    if without_dump and method == "rdb":
        yield Lack("psync", f"the server grants no dump ({without_dump})", fatal=True)
        return
    if without_dump:
        yield Lack("psync", f"keys are read one by one, not at one instant ({without_dump})")
    if without_dump or method == "scan":
        for words in (("SCAN", "0"), ("DUMP", NO_KEY), ("PTTL", NO_KEY)):
            if why := refused(client, server, *words):
                yield Lack(words[0].lower(), f"keys cannot be read ({why})", fatal=True)
        if server.numbers >= (7,) and (why := refused(client, server, "FUNCTION", "LIST")):
            yield Lack("function|list", f"functions are not backed up ({why})")


def restore_lacks(client: Client, server: Server) -> Iterator[Lack]:
    """What the user needs to restore and does not have. The commands named here would change nothing."""
    for words in (("RESTORE", NO_KEY, "0", "no payload"), ("HDEL", NO_KEY, "field"), ("UNLINK", NO_KEY)):
        if why := refused(client, server, *words):
            yield Lack(words[0].lower(), f"nothing can be restored ({why})", fatal=True)


def why_no_dump(client: Client, server: Server) -> str:
    """Why the server would grant no dump; empty where it would, or does not say."""
    errors = require("redis", "redis").exceptions
    try:
        client.execute_command("PSYNC")  # which takes two arguments: this is an error in any case
    except errors.NoPermissionError as error:
        return str(error)
    except errors.ResponseError as error:
        if "unknown command" in str(error):
            return "the server does not know PSYNC"
    return refused(client, server, "PSYNC", "?", "-1")


def refused(client: Client, server: Server, *words: str) -> str:
    """Why the server would not let the user give a command, without giving it; empty where it would, or
    does not say."""
    if server.numbers < (6,):
        return ""  # there are no users
    return _dry_run(client, *words) if server.numbers >= (7,) else _queued(client, *words)


def _dry_run(client: Client, *words: str) -> str:
    errors = require("redis", "redis").exceptions
    try:
        answer = client.execute_command("ACL DRYRUN", client.execute_command("ACL WHOAMI"), *words)
    except errors.ResponseError:  # no right to ask
        return ""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    return "" if text == "OK" else text


def _queued(client: Client, *words: str) -> str:
    """Redis 6 looks at privileges before it puts a command into a transaction, which then is given up.

    Only for commands that would change nothing: this is no place to rely on that.
    """
    errors = require("redis", "redis").exceptions
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("MULTI")
        connection.read_response()
        connection.send_command(*words)
        connection.read_response()
    except errors.NoPermissionError as error:
        return str(error) if words[0].lower() in str(error).lower() else ""  # else it is MULTI that may not be given
    except errors.ResponseError:
        return ""
    finally:
        connection.disconnect()
        client.connection_pool.release(connection)
    return ""

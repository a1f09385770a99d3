"""Packs that were found bad: no writer is to rely on them any more (docs/format.md, "distrust")."""

from __future__ import annotations

from collections.abc import Iterable

from drtool.errors import DamagedObjectError, DrtoolError, RepositoryError, StorageError
from drtool.repository.ids import new_id
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import utc_now
from drtool.repository.wire import decode_json, encode_json

DISTRUST = "distrust/"


def distrust(
    repository: Repository, packs: Iterable[bytes], reason: str, signer: SigningKey | None, evidence: str | None = None
) -> str:
    """Tell all writers, signed by a verifier or a maintainer; the next backup then stores the packs' chunks anew.

    `evidence` is the id of what shows it. Returns the record's name.
    """
    id_ = new_id()
    name = DISTRUST + id_
    fields = {
        "format": 1,
        "distrust": id_,
        "packs": [sha256.hex() for sha256 in packs],
        "reason": reason,
        "at": utc_now(),
        "evidence": evidence,
    }
    repository.storage.put(name, repository.seal(Kind.DISTRUST, name, encode_json(fields), signer), if_absent=True)
    return name


def distrusted(repository: Repository, problems: list[DrtoolError]) -> set[bytes]:
    """The packs that anybody found bad. What is wrong with the records goes to `problems`."""
    packs: set[bytes] = set()
    for name, data in repository.listing(DISTRUST):
        if data is None:
            continue
        try:
            if isinstance(data, DrtoolError):
                raise data
            fields = decode_json(repository.open_object(Kind.DISTRUST, name, data).payload, name)
            packs.update(bytes.fromhex(pack) for pack in fields["packs"])
        except (RepositoryError, StorageError) as error:
            problems.append(error.about(name))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(DamagedObjectError(f"{name} lacks something: {error}").about(name))
    return packs

"""What a database is, in a few values that are equal only if the databases are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from bson.json_util import dumps
from gridfs import GridFSBucket
from pymongo.database import Database

from drtool.operations.demo.application import ACTIVE_VIEW, FILE_NAME, Document, sum_of_balances
from drtool.operations.demo.steps import Check
from drtool.operations.demo.transfers import euros

Specification = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``hashes`` are the server's dbHash, by collection and (under "") of the whole; ``options`` and ``indexes`` are
    definitions as JSON texts, key by key; ``view`` is the SHA-256 of a view's answer."""

    hashes: Mapping[str, str]
    counts: Mapping[str, int]
    options: Mapping[str, Specification]
    indexes: Mapping[str, Mapping[str, Specification]]
    file: str
    view: str
    balances: int

    @property
    def documents(self) -> int:
        """Documents in all collections (not counting what a view shows)."""
        return sum(self.counts.values())


def fingerprint(database: Database[Document]) -> Fingerprint:
    """Of everything in the database. Raises pymongo's errors."""
    answer = database.command("dbHash")
    listed = {found["name"]: found for found in database.list_collections() if found["name"] != "system.views"}
    stored = sorted(name for name, found in listed.items() if found["type"] != "view" and _public(name))
    with_indexes = [name for name in stored if listed[name]["type"] == "collection"]
    return Fingerprint(
        hashes={"": answer["md5"], **answer["collections"]},
        counts={name: database[name].count_documents({}) for name in stored},
        options={name: _texts(found["options"]) for name, found in listed.items() if _public(name)},
        indexes={name: {spec["name"]: _texts(spec) for spec in database[name].list_indexes()} for name in with_indexes},
        file=_file_digest(database),
        view=_view_digest(database),
        balances=sum_of_balances(database),
    )


def compare(before: Fingerprint, after: Fingerprint) -> list[Check]:
    """One check for each value."""
    return [
        _same("dbhash", before.hashes, after.hashes, f"dbHash {after.hashes['']}"),
        _same(
            "counts", before.counts, after.counts, f"{after.documents:,} documents in {len(after.counts)} collections"
        ),
        _same("options", before.options, after.options, f"options of {len(after.options)} collections and views"),
        _same("indexes", before.indexes, after.indexes, _kinds(after)),
        _same("file", before.file, after.file, f"SHA-256 of the file {FILE_NAME}, {after.file[:16]}…"),
        _same("view", before.view, after.view, f"the answer of the view {ACTIVE_VIEW}, SHA-256 {after.view[:16]}…"),
        _same("balances", before.balances, after.balances, f"balances of {euros(after.balances)}"),
    ]


def _same(name: str, before: object, after: object, what: str) -> Check:
    """Of mappings that differ, the message names the keys."""
    if before == after:
        return Check(name, True, f"as before: {what}")
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return Check(name, False, f"not as before: {what}; was {before}")
    different = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return Check(name, False, f"not as before: {what}; different: {', '.join(key or 'the whole' for key in different)}")


def _kinds(found: Fingerprint) -> str:
    """``16 indexes (4 unique, …)``."""
    every = [spec for indexes in found.indexes.values() for spec in indexes.values()]
    words = {"unique": "unique", "hidden": "hidden", "expireAfterSeconds": "expiring"}
    kinds = ", ".join(f"{sum(key in spec for spec in every)} {word}" for key, word in words.items())
    return f"{len(every)} indexes ({kinds})"


def _public(name: str) -> bool:
    return not name.startswith("system.")


def _texts(specification: Mapping[str, object]) -> Specification:
    """The order of the fields has no meaning, the order inside them (``key``) has."""
    return {key: dumps(value) for key, value in specification.items()}


def _file_digest(database: Database[Document]) -> str:
    with GridFSBucket(database).open_download_stream_by_name(FILE_NAME) as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def _view_digest(database: Database[Document]) -> str:
    digest = hashlib.sha256()
    for found in database[ACTIVE_VIEW].find().sort("number", 1):
        digest.update(dumps(found).encode())
    return digest.hexdigest()

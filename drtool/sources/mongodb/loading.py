"""Writing records: raw documents as they were read, by several writers.

A duplicate ``_id`` is no error where the document is the same: a load that is repeated finds its own work.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.errors import IncompleteRestoreError
from drtool.sources.mongodb.connection import DECODED, RAW, Client, Deployment, Document
from drtool.sources.mongodb.keys import FIXED_LENGTHS, any_of, bound, elements, int32, key_of
from drtool.sources.mongodb.planning import Placed
from drtool.sources.restoring import Loaded

#: Two writers keep a server on two cores busy; a third was measured to gain little.
WRITERS = 2
_BATCH_BYTES = 4 * 1024 * 1024
#: A command may hold ten times as many, but where all of them are there already the server drops the connection: its
#: answer, an error for each, outgrows a message.
_BATCH_RECORDS = 10_000
#: However small its documents are, a chunk of so many bytes holds no more than the records of a batch.
_SURE_TO_FIT = _BATCH_RECORDS * len(bson.encode({"_id": 0}))
_DUPLICATE_KEY = 11000
_MIXED_SCHEMA = 408  # CannotInsertTimeseriesBucketsWithMixedSchema
_TIMESTAMP = 0x11
#: For error texts: an id that is no proper text is shown all the same.
_LENIENT = DECODED.with_options(unicode_decode_error_handler="replace")
#: A timestamp of zeros at any depth, or something that looks like one. A name may hold the byte 0x11 too; then the
#: match begins there. (Without that exclusion a long run of 0x11 would take quadratic time.)
EMPTY_TIMESTAMP = re.compile(rb"\x11[^\x00\x11]*\x00{9}")
#: Every match ends so; to look for this alone is much faster, and most chunks do not hold it.
_ZEROS = bytes(9)


def load(client: Client, deployment: Deployment, placed: Placed, chunks: Iterable[bytes]) -> Loaded:
    """Write all records of `chunks`; in order, by one writer, where order is data.

    Raises ``IncompleteRestoreError`` for a record that the server does not take, and pymongo's errors.
    """
    concern: Document = {"w": 1 if deployment.topology == "standalone" else "majority"}
    loader = _Loader(client, placed, concern, keeps_empty_timestamps(deployment.numbers))
    records = total = 0
    writers = WRITERS if placed.definition.keyed else 1
    with ThreadPoolExecutor(writers, thread_name_prefix="drtool-load") as pool:
        pending: deque[Future[Loaded]] = deque()
        with _cancelled_on_error(pending):
            for chunk in chunks:
                pending.append(pool.submit(loader.write, chunk))
                if len(pending) > writers:
                    done = pending.popleft().result()
                    records, total = records + done.records, total + done.bytes
            while pending:
                done = pending.popleft().result()
                records, total = records + done.records, total + done.bytes
    return Loaded(records, total)


@contextlib.contextmanager
def _cancelled_on_error(pending: Iterable[Future[Loaded]]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for future in pending:
            future.cancel()
        raise


class _Run:
    """Documents back to back, which pymongo puts into a message as they are: as it does with a ``RawBSONDocument``,
    which it knows by the marker. In a message documents follow each other just so, and a Python object for each of them
    would cost a quarter of a restore's work outside of the server."""

    __slots__ = ("raw",)
    _type_marker = RawBSONDocument._type_marker

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


@dataclass(slots=True)
class _Loader:
    client: Client
    placed: Placed
    write_concern: Document
    keeps_empty_timestamps: bool
    _mixed_schema_allowed: bool = field(default=False, init=False)

    def write(self, chunk: bytes) -> Loaded:
        """Write the records of one chunk."""
        emptied: frozenset[bytes] = frozenset()
        if _ZEROS in chunk and EMPTY_TIMESTAMP.search(chunk) is not None:
            emptied = frozenset(filter(has_empty_timestamp, split_documents(chunk)))
        altered = frozenset() if self.keeps_empty_timestamps else emptied
        self._check_can_be_put_back(altered)
        records = sum(self._insert(run, altered, keep_timestamps=bool(emptied - altered)) for run in runs(chunk))
        for document in altered:
            self._put_back(document)
        return Loaded(records, len(chunk))

    def _insert(self, run: bytes, altered: frozenset[bytes], *, keep_timestamps: bool) -> int:
        """Insert documents and return their number. Those in `altered` may be there in another form: they are put right
        afterwards."""
        command: Document = {
            "insert": self.placed.records_in,
            "ordered": not self.placed.definition.keyed,
            "bypassDocumentValidation": True,
            "writeConcern": self.write_concern,
            "documents": [_Run(run)],
        }
        if keep_timestamps:
            command["bypassEmptyTsReplacement"] = True
        reply = self._command(command)
        errors = reply.get("writeErrors", [])
        if not errors:
            return int(reply["n"])
        if any(error["code"] == _MIXED_SCHEMA for error in errors) and not self._mixed_schema_allowed:
            self._mixed_schema_allowed = True
            command = {"collMod": self.placed.collection, "timeseriesBucketsMayHaveMixedSchemaData": True}
            self.client[self.placed.database].command(command)
            return self._insert(run, altered, keep_timestamps=keep_timestamps)
        batch = split_documents(run)
        duplicates = [batch[error["index"]] for error in errors if error["code"] == _DUPLICATE_KEY]
        there = altered | self._of_these_there(duplicates) if duplicates else altered
        for error in errors:
            document = batch[error["index"]]
            if error["code"] != _DUPLICATE_KEY or document not in there:
                raise self._failure(document, error["errmsg"])
        if not self.placed.definition.keyed:  # an ordered insert stops at its first error
            rest = batch[errors[0]["index"] + 1 :]
            if rest:
                self._insert(b"".join(rest), altered, keep_timestamps=keep_timestamps)
        return len(batch)

    def _check_can_be_put_back(self, documents: Iterable[bytes]) -> None:
        """An update of a document in which an empty timestamp's name comes twice ends a mongod 6.0 (an invariant)."""
        for document in documents:
            names = [name for _, name, _ in elements(document)]
            if len(names) != len(set(names)):
                raise self._failure(
                    document,
                    "it has a field Timestamp(0, 0) and two fields of the same name, which this version of the server "
                    "cannot be given safely; 5.0.29, 6.0.17, 7.0.13 and 8.0 can",
                )

    def _of_these_there(self, documents: Sequence[bytes]) -> set[bytes]:
        """Those that the target holds already, byte for byte (all of them fit into one reply: one command held
        them)."""
        command = {
            "find": self.placed.records_in,
            "filter": RawBSONDocument(any_of([key_of(document) for document in documents]), RAW),
            "batchSize": len(documents),
            "singleBatch": True,
        }
        reply = self.client[self.placed.database].command(command, codec_options=RAW)
        return {bytes(found.raw) for found in reply["cursor"]["firstBatch"]}

    def _put_back(self, document: bytes) -> None:
        """Replace what the server made of a document whose empty timestamps it filled with the time of the insert."""
        literal = {"$replaceRoot": {"newRoot": {"$literal": RawBSONDocument(document, RAW)}}}
        reply = self._command(
            {
                "update": self.placed.records_in,
                "updates": [{"q": _by_id(document), "u": [literal]}],
                "bypassDocumentValidation": True,
                "writeConcern": self.write_concern,
            }
        )
        for error in reply.get("writeErrors", []):
            raise self._failure(document, error["errmsg"])

    def _command(self, command: Document) -> dict[str, Any]:
        """Raises pymongo's error for a write that was not acknowledged as asked for, too."""
        reply = self.client[self.placed.database].command(command)
        concern = reply.get("writeConcernError")
        if concern is not None:
            raise OperationFailure(concern["errmsg"], concern["code"], reply)
        return reply

    def _failure(self, document: bytes, reason: str) -> IncompleteRestoreError:
        key = key_of(document)
        identity = f"with _id {bson.decode(bound(key), _LENIENT)['_id']!r}" if key else "without an _id"
        return IncompleteRestoreError(
            f"{self.placed.item.name}: the record {identity} could not be written: {reason}",
            hint="What was written before is kept in the target.",
        )


def keeps_empty_timestamps(version: tuple[int, ...]) -> bool:
    """Does `insert` of this version know bypassEmptyTsReplacement?"""
    since = {5: (5, 0, 29), 6: (6, 0, 17), 7: (7, 0, 13)}
    return version >= since.get(version[0], (8,))


def _by_id(document: bytes) -> RawBSONDocument:
    return RawBSONDocument(bound(key_of(document)), RAW)


def split_documents(chunk: bytes) -> list[bytes]:
    """The documents of a chunk."""
    documents = []
    position, end = 0, len(chunk)
    while position < end:
        start = position
        position += int32(chunk, start)
        documents.append(chunk[start:position])
    return documents


def runs(chunk: bytes) -> Iterator[bytes]:
    """Runs of documents that fit into one command (one document alone always does)."""
    if len(chunk) <= _SURE_TO_FIT:
        yield chunk
        return
    start = end = records = 0
    while end < len(chunk):
        size = int32(chunk, end)
        if records and (end + size - start > _BATCH_BYTES or records >= _BATCH_RECORDS):
            yield chunk[start:end]
            start, records = end, 0
        end += size
        records += 1
    yield chunk[start:]


def has_empty_timestamp(document: bytes) -> bool:
    """Is a field of the document itself, other than ``_id``, ``Timestamp(0, 0)``? Servers overwrite that on
    insert."""
    zero = bytes(FIXED_LENGTHS[_TIMESTAMP])
    return any(
        kind == _TIMESTAMP and name != b"_id" and document[value : value + len(zero)] == zero
        for kind, name, value in elements(document)
    )

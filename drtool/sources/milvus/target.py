"""A Milvus that a restore writes to."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from drtool.errors import IncompleteRestoreError, TargetNotEmptyError, UsageError
from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection, translated
from drtool.sources.milvus.creating import create, create_indexes
from drtool.sources.milvus.definitions import DEFAULT_PARTITION, Definition
from drtool.sources.milvus.freezing import STAGED, freeze
from drtool.sources.milvus.reading import count
from drtool.sources.milvus.rows import PARTITION, Rows
from drtool.sources.milvus.view import MilvusView
from drtool.sources.plain import PlainTarget
from drtool.sources.reading import Consistency
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan
from drtool.sources.vectors.joining import Joined

_RENAME = "Restore under another name with --rename OLD=NEW, or to another Milvus with --to URI."
_BATCH = 1000
#: What Milvus takes as a name.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 255
#: In the place of a collection's name: what says of all of them that they are whole.
_ALL = ""
#: Milvus makes no collection without vectors.
_NOTHING = 2


class MilvusTarget(PlainTarget):
    """A target (``drtool.sources.restoring.Target``).

    Collections are filled under other names, which hold a hash of the restore's marker: that is how an interrupted one
    recognises its own work. They get theirs when all of them are whole, and as long as an empty collection, whose name
    is the hash alone, says that they are about to.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._opened: Connection | None = None

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        for item in _collections(plan):
            if not _NAME.fullmatch(item.name) or len(_staged(plan, item.name)) > _LONGEST:
                raise UsageError(
                    f"{item.name!r} is no name of a collection",
                    hint="Milvus takes letters, digits and _ in names, up to 255 with what a restore puts in front.",
                )
        occupied = tuple(self._in_the_way(plan))
        return Inspection(self._address.shown, occupied, tuple(self._notes(plan)), hint=_RENAME if occupied else "")

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        if not plan.replace:
            for sentence in self._in_the_way(plan):
                raise TargetNotEmptyError(f"{self._address.shown} is not empty: {sentence}", hint=_RENAME)
        client = self._connection.client
        with translated(self._address, "creating collections"):
            self._withdraw(plan)
            for item in _collections(plan):
                name = _staged(plan, item.name)
                if client.has_collection(name):
                    client.drop_collection(name)
                create(client, name, Definition.decode(item.stream.definition), lite=self._lite)
        self._begun = plan

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """Never called: every collection comes with its vectors."""
        raise AssertionError((item, chunks))

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """See ``Target.load_joined``."""
        [(_, vectors)] = beside
        joined = Joined(item.name, chunks, vectors)
        rows = Rows(Definition.decode(item.stream.definition))
        name = _staged(self._begun, item.name)
        for batch in joined.batches(_BATCH):
            by_partition: dict[str, list[dict[str, object]]] = defaultdict(list)
            for one in batch:
                by_partition[str(one.fields.get(PARTITION, DEFAULT_PARTITION))].append(rows.row(one))
            for partition, some in by_partition.items():
                self._insert(name, partition, some, item.name)
        return joined.loaded

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``: indexes, then names, then aliases and what is in memory."""
        for item in _collections(plan):
            self._complete(item, _staged(plan, item.name), progress)
        with translated(self._address, "noting that collections get their names"):
            self._connection.client.create_collection(_staged(plan, _ALL), dimension=_NOTHING)
        for item in _collections(plan):
            with translated(self._address, f"giving {item.name} its name"):
                self._publish(plan, item.name)
        for item in _collections(plan):
            with translated(self._address, f"loading {item.name}"):
                self._connection.client.load_collection(item.name)
                if item.name == item.stream.name:
                    self._restore_aliases(item.name, Definition.decode(item.stream.definition))
        with translated(self._address, "ending the restore"):
            self._connection.client.drop_collection(_staged(plan, _ALL))
        return {}

    def read_back(self, plan: RestorePlan) -> MilvusView:
        """See ``Target.read_back``."""
        original = {item.name: item.stream.name for item in _collections(plan)}
        connection = Connection(self._address)
        try:
            return MilvusView(connection, freeze(connection, original.__contains__), Consistency.FUZZY, original)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """See ``Target.close``."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = Connection(self._address, create=True)
        return self._opened

    @property
    def _lite(self) -> bool:
        return self._address.path is not None

    def _insert(self, name: str, partition: str, rows: list[dict[str, object]], shown: str) -> None:
        options = {} if partition == DEFAULT_PARTITION else {"partition_name": partition}
        with translated(self._address, f"writing {shown}"):
            told = self._connection.client.insert(name, rows, **options)
        if told["insert_count"] != len(rows):
            raise IncompleteRestoreError(f"{shown}: Milvus took {told['insert_count']} of {len(rows)} rows")

    def _complete(self, item: RestoreItem, name: str, progress: Callable[[str], None]) -> None:
        client = self._connection.client
        with translated(self._address, f"building the indexes of {item.name}"):
            client.flush(name)
            progress(f"{item.name}: building its indexes")
            create_indexes(client, name, Definition.decode(item.stream.definition))
            client.load_collection(name)
        there = count(self._connection, name)
        if there != item.records:
            raise IncompleteRestoreError(f"{item.name}: {there:,} of {item.records:,} records are there")

    def _publish(self, plan: RestorePlan, name: str) -> None:
        client = self._connection.client
        if client.has_collection(name):
            if not plan.replace:
                raise TargetNotEmptyError(f"{name} has come into being meanwhile", hint=_RENAME)
            self._drop(name)
        client.rename_collection(_staged(plan, name), name)

    def _drop(self, name: str) -> None:
        client = self._connection.client
        for alias in client.list_aliases(name).get("aliases", ()):
            client.drop_alias(alias)
        client.drop_collection(name)

    def _withdraw(self, plan: RestorePlan) -> None:
        """Of an earlier attempt that was cut off while collections got their names. In place they stay until they are
        replaced again."""
        client = self._connection.client
        names = set(client.list_collections())
        for name in () if plan.replace else sorted(_published(plan, names)):
            self._drop(name)
        if _staged(plan, _ALL) in names:
            client.drop_collection(_staged(plan, _ALL))

    def _restore_aliases(self, name: str, definition: Definition) -> None:
        client = self._connection.client
        there = {alias for each in client.list_collections() for alias in client.list_aliases(each).get("aliases", ())}
        for alias in definition.values["aliases"] or ():
            if alias in there:
                client.alter_alias(name, alias)
            else:
                client.create_alias(name, alias)

    def _in_the_way(self, plan: RestorePlan) -> Iterator[str]:
        if self._lite and (path := self._address.path) is not None and not path.exists():
            return
        client = self._connection.client
        with translated(self._address, "listing collections"):
            names = set(client.list_collections())
            there = names - _published(plan, names)
            rows = {item.name: self._rows(item.name) for item in _collections(plan) if item.name in there}
        begun = {match[2] for match in map(STAGED.fullmatch, names) if match and match[1] != _hash(plan)}
        for item in _collections(plan):
            if item.name in rows:
                yield f"{item.name}: {rows[item.name]:,} records"
            elif item.name in begun:
                yield f"{item.name}: another restore of it has begun and not ended"

    def _rows(self, name: str) -> int:
        """As the statistics have it: to count them, a collection would have to be in memory."""
        return int(self._connection.client.get_collection_stats(name)["row_count"])

    def _notes(self, plan: RestorePlan) -> Iterator[str]:
        for item in _collections(plan):
            aliases = Definition.decode(item.stream.definition).values["aliases"]
            if aliases and item.name != item.stream.name:
                yield f"{item.name}: the aliases of {item.stream.name} ({', '.join(aliases)}) stay as they are"


def _collections(plan: RestorePlan) -> list[RestoreItem]:
    return [item for item in plan.items if not item.stream.beside]


def _published(plan: RestorePlan, names: Set[str]) -> set[str]:
    """Which of these collections got their names from an earlier attempt of this restore."""
    if _staged(plan, _ALL) not in names:
        return set()
    return {item.name for item in _collections(plan) if item.name in names and _staged(plan, item.name) not in names}


def _hash(plan: RestorePlan) -> str:
    return hashlib.sha256(plan.marker.encode()).hexdigest()[:12]


def _staged(plan: RestorePlan, name: str) -> str:
    return f"drtool_{_hash(plan)}_{name}"

"""Writing records as they lie in chunks: what one command takes, and what comes of it on a real server."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.sources.mongodb import loading
from drtool.sources.mongodb.loading import runs, split_documents
from drtool.sources.mongodb.server import Server
from tests.sources.contract import back_up, plan_for
from tests.sources.mongo import Client, source_of

LIMIT_BYTES, LIMIT_RECORDS = 200, 4
records = st.lists(st.binary(max_size=300), max_size=30)


@given(records)
def test_runs_are_the_chunk_in_pieces_that_fit(contents: list[bytes]) -> None:
    documents = [bson.encode({"_id": number, "b": content}) for number, content in enumerate(contents)]
    chunk = b"".join(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_BATCH_BYTES", LIMIT_BYTES)
        patch.setattr(loading, "_BATCH_RECORDS", LIMIT_RECORDS)
        patch.setattr(loading, "_SURE_TO_FIT", 0)
        found = list(runs(chunk))
    assert b"".join(found) == chunk
    held = [split_documents(run) for run in found]
    assert [document for run in held for document in run] == documents
    for run in held:
        assert len(run) <= LIMIT_RECORDS
        assert len(run) == 1 or sum(map(len, run)) <= LIMIT_BYTES
    for run, following in pairwise(held):  # none is smaller than it had to be
        assert len(run) == LIMIT_RECORDS or sum(map(len, run)) + len(following[0]) > LIMIT_BYTES


@pytest.mark.heavy
def test_more_records_than_go_into_a_command(replica_set: Server, client: Client, database: str) -> None:
    count = 25_000
    client[database].c.insert_many([{"_id": 0}])
    source = source_of(replica_set.uri, database)
    plan = plan_for(source, back_up(source))
    chunk = b"".join(bson.encode({"_id": number}) for number in range(count))
    with closing(source.target(replica_set.uri)) as target:
        target.begin(plan)
        assert target.load(plan.items[0], [chunk]).records == count
        assert target.load(plan.items[0], [chunk]).records == count, "what is there already counts as loaded"
    assert client[f"{database}_restored"].c.count_documents({}) == count

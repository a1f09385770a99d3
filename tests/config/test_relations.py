"""Relations in the configuration."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.relations import Relation, Slack
from drtool.config.schema import json_schema
from tests.config.samples import VALID, problems, read

_TWO = VALID.replace(
    "jobs:\n", "  vectors: {type: mongodb, uri: 'mongodb://127.0.0.1:27018'}\njobs:\n  other: {sources: [vectors]}\n"
)
_TOGETHER = _TWO.replace("sources: [app]", "sources: [app, vectors]")


def _with(relation: str, text: str = _TOGETHER) -> str:
    return f"{text}relations:\n  - {relation}\n"


def test_the_example_of_the_guide() -> None:
    text = _with("{every: vectors.documents.metadata.doc_id, exists_in: app.cryptique.documents._id, as: objectid}")
    [relation] = read(text).relations
    assert (relation.form, relation.as_, relation.slack, relation.optional) == ("every", "objectid", Slack(), False)
    assert relation.left == "vectors.documents.metadata.doc_id"
    assert relation.right == "app.cryptique.documents._id"
    assert relation.sources == {"app", "vectors"}
    assert relation.title == f"every {relation.left} exists in {relation.right}"


def test_the_other_forms() -> None:
    [counted] = read(_with("{count: app.a.b, equals: vectors.c, slack: 3}")).relations
    assert (counted.form, counted.left, counted.right, counted.slack) == ("count", "app.a.b", "vectors.c", Slack(3))
    [same] = read(_with("{one_to_one: app.a.b.x, with: vectors.c.y, slack: 0.5%, name: twins}")).relations
    assert (same.form, same.left, same.right) == ("one_to_one", "app.a.b.x", "vectors.c.y")
    assert (same.slack, same.title) == (Slack(share=0.005), "twins")


_LINE = len(_TOGETHER.splitlines()) + 2


@pytest.mark.parametrize(
    ("relation", "told"),
    [
        ("{every: vektors.a.b, exists_in: app.a._id}", ".every: no source 'vektors'; did you mean 'vectors'?"),
        ("{evry: vectors.a.b, exists_in: app.a._id}", ".evry: unknown key; did you mean 'every'?"),
        ("{count: vectors.a, equals: app.a, wiht: app.b}", ".wiht: unknown key; did you mean 'with'?"),
        ("{every: vectors.a.b}", ": needs every and exists_in, or count and equals, or one_to_one and with"),
        ("{every: vectors.a.b, equals: app.a}", ": needs every and exists_in, or count and equals"),
        ("{every: vectors.a.b, exists_in: app.a._id, count: app.a, equals: app.b}", ": needs every and exists_in"),
        ("{every: vectors, exists_in: app.a._id}", ".every: must be a source, a stream and a field"),
        ("{every: vectors..a, exists_in: app.a._id}", ".every: must be a source, a stream and a field"),
        ("{every: vectors.a.b, exists_in: app.a._id, slack: -1}", ".slack: must be a number of records, or"),
        ("{every: vectors.a.b, exists_in: app.a._id, slack: yes}", ".slack: must be a number of records, or"),
        ("{every: vectors.a.b, exists_in: app.a._id, slack: 101%}", ".slack: must be a number of records, or"),
        ("{every: vectors.a.b, exists_in: app.a._id, as: oid}", ".as: Input should be 'string', 'int'"),
        ("{count: vectors.a, equals: app.a, as: int}", ": compares numbers of records: as and optional say nothing"),
        ("5", ": must be a mapping of keys"),
    ],
)
def test_mistakes(relation: str, told: str) -> None:
    found = problems(_with(relation))
    assert any(problem.startswith(f"{_LINE}: relations[0]{told}") for problem in found), found


def test_what_no_job_holds_together_would_never_be_checked() -> None:
    relation = "{every: vectors.a.b, exists_in: app.a._id}"
    assert problems(_with(relation, _TWO)) == [f"{_LINE}: relations[0]: no job backs up vectors and app together"]


@given(st.integers(0, 1000), st.floats(0, 1), st.integers(0, 10**6))
def test_slack(number: int, share: float, checked: int) -> None:
    assert Slack(number).of(checked) == number
    assert 0 <= Slack(share=share).of(checked) <= share * checked


def test_editors_know_the_keys() -> None:
    schema = json_schema()["$defs"]["Relation"]["properties"]
    assert {"every", "exists_in", "count", "equals", "one_to_one", "with", "as", "slack", "optional", "name"} == {
        *schema
    }
    assert schema["slack"]["default"] == 0
    assert json.dumps(schema)
    assert Relation.model_validate({"count": "a.b", "equals": "c.d", "slack": schema["slack"]["default"]})

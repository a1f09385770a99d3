"""Payload indexes of the embedded engine: its own classes, and the JSON of the REST interface.

https://api.qdrant.tech/api-reference/indexes/create-field-index
"""

from __future__ import annotations

from typing import Any

_CLASSES = {
    "keyword": "KeywordIndexParams",
    "integer": "IntegerIndexParams",
    "float": "FloatIndexParams",
    "geo": "GeoIndexParams",
    "text": "TextIndexParams",
    "bool": "BoolIndexParams",
    "datetime": "DatetimeIndexParams",
    "uuid": "UuidIndexParams",
}
_ENUMS = {"tokenizer": "TokenizerType", "memory": "Memory"}


def to_json(info: Any) -> Any:
    """What ``ShardInfo.payload_schema`` says of a field: a type, or a type with parameters."""
    type_ = _word(info.data_type)
    params = info.params
    if params is None:
        return type_
    given = {name: getattr(params, name) for name in dir(params) if not name.startswith("_")}
    found = {name: _plain(name, value) for name, value in given.items() if value is not None}
    return {"type": type_, **found} if found else type_


def to_engine(engine: Any, schema: Any) -> Any:
    """The same as the engine takes it. ``ValueError`` for what this version of the engine does not know."""
    if isinstance(schema, str):
        return _member(engine.PayloadSchemaType, schema)
    params = {name: value for name, value in schema.items() if name != "type" and value is not None}
    try:
        class_ = getattr(engine, _CLASSES[schema["type"]])
        return class_(**{name: _of_engine(engine, name, value) for name, value in params.items()})
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"the engine has no index of this form: {error}") from error


def _plain(name: str, value: Any) -> Any:
    if name == "stopwords" and hasattr(value, "custom"):
        found = {
            "languages": sorted(map(_word, value.languages or ())),
            "custom": sorted(value.custom or ()),
        }
        return {key: words for key, words in found.items() if words}
    if name == "stemmer":
        return (
            {"type": "snowball", "language": _word(value.language)} if hasattr(value, "language") else {"type": "none"}
        )
    if name == "scoring":
        return {"type": _word(value.type)}
    return value if isinstance(value, bool | int | float | str) else _word(value)


def _of_engine(engine: Any, name: str, value: Any) -> Any:
    if name in _ENUMS:
        return _member(getattr(engine, _ENUMS[name]), value)
    if name == "stopwords":
        if isinstance(value, str):
            return _member(engine.Language, value)
        languages = {_member(engine.Language, word) for word in value.get("languages") or ()}
        return engine.StopwordsSet(languages=languages or None, custom=set(value.get("custom") or ()) or None)
    if name == "stemmer":
        if value["type"] != "snowball":
            return engine.DisabledStemmer()
        return engine.SnowballParams(_member(engine.SnowballLanguage, value["language"]))
    if name == "scoring" and not isinstance(value, bool):
        return engine.TextScoringParams(_member(engine.TextScoringType, value["type"]))
    return value


def _word(member: Any) -> str:
    """``TokenizerType.Word`` → ``word``."""
    return str(member).rpartition(".")[2].lower()


def _member(enum: Any, word: str) -> Any:
    try:
        return getattr(enum, word.capitalize())
    except AttributeError as error:
        raise ValueError(f"the engine knows no {word!r}") from error

"""``sources``: the systems that are backed up, one settings model per type.

A package that adds a type declares an entry point in the group ``drtool.sources``: its name is the type, and the
class that it names has the attribute ``Settings``, a subclass of
``drtool.config.source_types.base.SourceSettings``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import SerializeAsAny, ValidationInfo, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from drtool.config.problems import nearest
from drtool.config.source_types.base import SourceSettings

ENTRY_POINTS = "drtool.sources"

#: The types that drtool brings, with the names of their models in ``drtool.config.source_types``; loaded when one is
#: met, for each costs time at every start.
BUILT_IN = {
    "chroma": "ChromaSettings",
    "mongodb": "MongoSettings",
    "postgres": "PostgresSettings",
    "files": "FilesSettings",
    "redis": "RedisSettings",
    "lancedb": "LanceSettings",
    "milvus": "MilvusSettings",
    "qdrant": "QdrantSettings",
}


def known_types() -> list[str]:
    """The types of sources there are here, by name."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})


def settings_model(type_name: str) -> type[SourceSettings]:
    """The model of a type's settings; ``LookupError`` with a sentence where there is none that can be used."""
    if type_name in BUILT_IN:
        built_in: type[SourceSettings] = getattr(
            import_module(f"drtool.config.source_types.{type_name}"), BUILT_IN[type_name]
        )
        return built_in
    for entry in entry_points(group=ENTRY_POINTS, name=type_name):
        try:
            model = getattr(entry.load(), "Settings", None)
        except (ImportError, AttributeError) as error:
            raise LookupError(f"the package that offers it cannot be loaded: {error}") from error
        if not (isinstance(model, type) and issubclass(model, SourceSettings)):
            raise LookupError(  # noqa: TRY004 - there is no such type as far as the configuration goes
                "the package that offers it has no Settings that drtool understands"
            )
        return model
    raise LookupError(f"unknown type of source{nearest(type_name, known_types())}")


def _by_type(value: Any, handler: Any, info: ValidationInfo) -> Any:
    """Validate a source with the model of its type."""
    del handler  # the base class knows only the keys that all types share
    if isinstance(value, SourceSettings):
        return value
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of keys")  # noqa: TRY004 - pydantic reports ValueError only
    type_name = value.get("type")
    if not isinstance(type_name, str):
        raise _at_type(f"is required: one of {', '.join(known_types())}")
    try:
        model = settings_model(type_name)
    except LookupError as error:
        raise _at_type(str(error)) from None
    return model.model_validate(value, context=info.context)


def _at_type(message: str) -> ValidationError:
    problem = PydanticCustomError("source_type", "{message}", {"message": message})
    details = InitErrorDetails(type=problem, loc=("type",), input=None)
    return ValidationError.from_exception_data("source", [details], hide_input=True)


AnySource = Annotated[SerializeAsAny[SourceSettings], WrapValidator(_by_type)]
"""A source of whichever type it says."""

"""``sources``: the systems that are backed up, one settings model per type.

A package that adds a type declares an entry point in the group ``drtool.sources``: its name is the type, and the
class that it names has the attribute ``Settings``, a subclass of `SourceSettings`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationInfo, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from drtool.config.model import Duration, Model, Size
from drtool.config.paths import ConfigPath
from drtool.config.problems import nearest
from drtool.config.secrets import Origin, Secret

ENTRY_POINTS = "drtool.sources"
LEAST_BANDWIDTH = 100_000


class SourceSettings(Model):
    """What every source has: its type."""

    type: str


def _mongodb_address(secret: Secret) -> Secret:
    # What comes from elsewhere is looked at when it is used.
    if secret.origin is Origin.TEXT and not secret.reveal().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return secret


def _database_name(name: str) -> str:
    if not name or any(character in name for character in '/\\. "$\0') or len(name.encode()) > 63:
        raise ValueError("is no name of a database")
    return name


def _namespace_pattern(pattern: str) -> str:
    if not pattern or pattern.startswith(".") or "\0" in pattern:
        raise ValueError("must be DATABASE, DATABASE.COLLECTION or a pattern with * and ?")
    return pattern


#: maxTimeMS is a 32-bit number.
_LONGEST_QUERY = 2**31 / 1000


def _query_time(seconds: float) -> float:
    if not 0.001 <= seconds < _LONGEST_QUERY:
        raise ValueError("must be at least 1ms and at most 24d")
    return seconds


def _reading_rate(rate: int) -> int:
    if rate < LEAST_BANDWIDTH:
        raise ValueError(f"must be at least {LEAST_BANDWIDTH // 1000} KB (per second)")
    return rate


_MongoAddress = Annotated[Secret, AfterValidator(_mongodb_address)]


class MongoSettings(SourceSettings):
    """A MongoDB deployment. Without ``databases``: all that hold an application's data."""

    type: Literal["mongodb"]
    uri: _MongoAddress = Field(description="mongodb:// or mongodb+srv://; also what a restore in place writes to.")
    read_uri: _MongoAddress | None = Field(default=None, description="Read from here instead: a hidden member, say.")
    databases: tuple[Annotated[str, AfterValidator(_database_name)], ...] = Field(
        default=(), description="Databases to back up; without it, all."
    )
    exclude: tuple[Annotated[str, AfterValidator(_namespace_pattern)], ...] = Field(
        default=(), description="DATABASE, DATABASE.COLLECTION, or patterns with * and ?."
    )
    users: Literal["all", "databases", "none"] | None = Field(
        default=None,
        description="Users and roles to back up: all; those defined in the databases that are backed up; none. "
        "Without it: all, or, where databases are named, those defined in them.",
    )
    max_time: Annotated[Duration, AfterValidator(_query_time)] | None = Field(
        default=None,
        description="How much of the server's time reading one range of a collection may take in all (maxTimeMS).",
    )
    bandwidth: Annotated[Size, AfterValidator(_reading_rate)] | None = Field(
        default=None, description="How much is read per second, by all readers together; without it, no limit."
    )
    mongod: ConfigPath | None = Field(
        default=None, description="The mongod program for trial restores; else the one on PATH."
    )


BUILT_IN: dict[str, type[SourceSettings]] = {"mongodb": MongoSettings}


def known_types() -> list[str]:
    """The types of sources there are here, by name."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})


def settings_model(type_name: str) -> type[SourceSettings]:
    """The model of a type's settings; ``LookupError`` with a sentence where there is none that can be used."""
    if type_name in BUILT_IN:
        return BUILT_IN[type_name]
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

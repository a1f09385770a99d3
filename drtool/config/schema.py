"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from drtool.config.model import NAME_PATTERN
from drtool.config.notify import TARGETS, TargetSettings
from drtool.config.root import Config
from drtool.config.source_types.base import SourceSettings
from drtool.config.sources import known_types, settings_model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of ``drtool.yaml`` (draft 2020-12), with every type of source that is installed and can be loaded."""
    sources = {}
    for name in known_types():
        try:
            sources[name] = settings_model(name)
        except LookupError:
            continue  # a broken plug-in: an error only for whoever uses it
    models = [(model, "validation") for model in (Config, *sources.values(), *TARGETS.values())]
    references, schema = models_json_schema(models)  # type: ignore[arg-type]
    definitions = schema["$defs"]
    root = definitions.pop(Config.__name__)
    definitions.pop(SourceSettings.__name__)
    definitions.pop(TargetSettings.__name__)
    one_of_them = {"oneOf": [references[model, "validation"] for model in sources.values()]}
    root["properties"]["sources"]["patternProperties"] = {f"^{NAME_PATTERN}$": one_of_them}
    targets = {name: references[model, "validation"] for name, model in TARGETS.items()}
    root["properties"]["notify"]["items"] = {
        "discriminator": {"mapping": {name: to["$ref"] for name, to in targets.items()}, "propertyName": "type"},
        "oneOf": list(targets.values()),
    }
    for named in ("sources", "jobs"):
        root["properties"][named]["additionalProperties"] = False
    return {
        "$schema": DIALECT,
        "title": "drtool.yaml",
        **{k: v for k, v in root.items() if k != "title"},
        "$defs": definitions,
    }

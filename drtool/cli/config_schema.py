"""``drtool config schema``."""

from __future__ import annotations

import json

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool config schema > drtool.schema.json
# then, as the first line of drtool.yaml:
# yaml-language-server: $schema=./drtool.schema.json
"""
)
def command(context: Context) -> None:
    """Print the configuration's JSON Schema, for editors.

    With --json, the schema is the field "schema" of the result.
    """
    from drtool.config.schema import json_schema

    schema = json_schema()
    context.output.result(schema=schema)
    context.output.text(json.dumps(schema, indent=2, ensure_ascii=False))

"""Where a repository is, as typed on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings


def repository_settings(given: Mapping[str, str | None]) -> RepositorySettings:
    """The settings of ``repository`` that were given; a directory there belongs to the current one."""
    from pydantic import ValidationError

    from drtool.config.paths import DIRECTORY
    from drtool.config.repository import RepositorySettings

    fields = {key: value for key, value in given.items() if value is not None}
    try:
        return RepositorySettings.model_validate(fields, context={DIRECTORY: Path.cwd()})
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        raise UsageError(f"{found['loc'][0]}: {found['msg'].removeprefix('Value error, ')}") from None

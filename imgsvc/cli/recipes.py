"""Recipes out of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


def read_recipe_file(file: Path) -> dict[str, Any]:
    """The JSON object in a file, not judged yet. Raises click.UsageError."""
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise click.UsageError(f"The recipe {file} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise click.UsageError(f"The recipe {file} is no JSON: {exc}.") from exc
    if not isinstance(recipe, dict):
        raise click.UsageError(f'The recipe {file} is no object such as {{"variants": [...]}}.')
    return recipe

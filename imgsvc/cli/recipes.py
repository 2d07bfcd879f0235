"""Recipes out of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from imgsvc.cli.stopping import read_stdin

STDIN = Path("-")

_SHOWN_OF_A_PRESET = {"name", "readonly", "recipe", "updated_at"}


def read_recipe_file(file: Path) -> dict[str, Any]:
    """The JSON object in a file, not judged yet. Raises click.UsageError."""
    try:
        text = file.read_bytes()
    except OSError as exc:
        raise click.UsageError(f"The recipe {file} cannot be read: {exc.strerror}.") from exc
    return _parse(text, file)


def read_preset_file(file: Path) -> dict[str, Any]:
    """The recipe in a file, or in what was shown of any preset; `-` is stdin.

    Raises click.UsageError.
    """
    document = _parse(read_stdin(), file) if file == STDIN else read_recipe_file(file)
    if isinstance(document.get("recipe"), dict) and document.keys() <= _SHOWN_OF_A_PRESET:
        recipe: dict[str, Any] = document["recipe"]
        return recipe
    return document


def _parse(text: bytes, file: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(text)
    except ValueError as exc:
        raise click.UsageError(f"The recipe {file} is no JSON: {exc}.") from exc
    if not isinstance(recipe, dict):
        raise click.UsageError(f'The recipe {file} is no object such as {{"variants": [...]}}.')
    return recipe

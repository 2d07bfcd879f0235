"""Watermarks for a run without a server: files under the names that a recipe has for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from imgsvc.recipes.model import Recipe
from imgsvc.recipes.names import NAMES_ARE, is_name
from imgsvc.recipes.watermarks import named_watermarks
from imgsvc.service.local_plan import LocalWatermark


def find_watermark_files(given: Sequence[str], recipe: Recipe) -> dict[str, LocalWatermark]:
    """The files that the recipe needs, by name. Raises click.UsageError.

    given: each `NAME=FILE`; what the recipe does not name is left out.
    """
    paths: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise click.UsageError(f"--watermark {text}: give NAME=FILE.")
        if not is_name(name):
            raise click.UsageError(f"--watermark {text}: a name is {NAMES_ARE}.")
        if name in paths:
            raise click.UsageError(f"--watermark {name} is given twice.")
        paths[name] = Path(path)
    needed = set(named_watermarks(recipe).values())
    missing = sorted(needed - paths.keys())
    if missing:
        raise click.UsageError(
            f"The recipe has a watermark {missing[0]}: give --watermark {missing[0]}=FILE."
        )
    return {name: _look_at(paths[name]) for name in sorted(needed)}


def _look_at(path: Path) -> LocalWatermark:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise click.UsageError(f"The watermark {path} cannot be read: {exc.strerror}.") from exc
    return LocalWatermark(path.absolute(), digest)

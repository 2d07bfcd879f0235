"""What a server says of the variants of a recipe, before anything of it becomes a path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imgsvc.client.errors import ClientError
from imgsvc.domain.names import SAME_FORMAT
from imgsvc.domain.rendering import EXTENSIONS
from imgsvc.recipes.names import is_name

Variants = Sequence[tuple[str, str]]
"""Name and format of each."""


def variants_of(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and format of each variant of a recipe, as the server shows it.

    Raises ClientError for a name that no recipe can have, and a format that is not known here.
    """
    variants = [(v["name"], v.get("format", SAME_FORMAT)) for v in recipe["variants"]]
    for name, format_ in variants:
        if not is_name(name) or format_ not in {*EXTENSIONS, SAME_FORMAT}:
            raise ClientError(f"The server names a variant that cannot be: {name!r}, {format_!r}.")
    return variants


def check_outputs(outputs: Iterable[Mapping[str, Any]], variants: Variants) -> None:
    """Raise ClientError for an output of none of these variants, or in an unknown format."""
    names = {name for name, _ in variants}
    for output in outputs:
        variant, format_ = output["variant"], output["format"]
        if variant not in names or format_ not in EXTENSIONS:
            raise ClientError(f"The server has made what was not asked for: {variant!r}.")
